// One time step of a stack, as soon as can be: for streams.
//
// Where the weights are large a step is shared with threads that stand by (base/standby.hpp). Each
// has some of the hidden units, the same ones at every step: they stay in its own cache.
#pragma once

#include <memory>
#include <vector>

#include "base/standby.hpp"
#include "layers/recurrent_stack.hpp"

namespace lstmcore {

template <class Scalar>
class StackStep {
 public:
  StackStep() = default;
  StackStep(const StackStep&) = delete;
  StackStep& operator=(const StackStep&) = delete;
  ~StackStep() { StandbyTeam::wait_until_idle(); }  // a thread may be late with its share

  // From x (N, I) and states h (L, N, P) and c (L, N, H) to states, which may be where they were; c
  // is not looked at where the cell has none. And to y (N, P), unless that is h of the top layer.
  // The stack, of layers of one width that read forward, is the same at every call.
  void run(const RecurrentStack<Scalar>& stack, Index n_sequences, const Scalar* x, const Scalar* h,
           const Scalar* c, Scalar* h_out, Scalar* c_out, Scalar* y, int n_threads);

 private:
  // What one thread has of a layer, in memory of its own. Between steps only the states and x are
  // written by another thread than its own: each line that changes hands costs.
  struct alignas(64) Share {
    PackedBatch batch;
    LayerWorkspace<Scalar> memory;
    AlignedBuffer<Scalar> x;
    const RecurrentLayer<Scalar>* layer = nullptr;
    Index block_begin = 0;
    Index block_end = 0;
    bool turns = false;  // at each step, to begin with what it has read last
    bool descending = false;
  };
  using Shares = std::vector<std::unique_ptr<Share>>;  // the caller's first

  static void prepare(Share& share, const RecurrentLayer<Scalar>& layer, Index n_sequences,
                      Index block_begin, Index block_end, const Scalar* h, const Scalar* c);
  static void work(Share& share, const Scalar* x) noexcept;
  static void run_layer(const RecurrentLayer<Scalar>& layer, Index n_sequences, const Scalar* x,
                        const Scalar* h, const Scalar* c, Scalar* h_out, Scalar* c_out,
                        Shares& shares, StandbyTeam& team);

  std::vector<Shares> layers_;
  AlignedBuffer<Scalar> y_;  // (N, P) of a stack with residual connections, up to a level
};

}  // namespace lstmcore
