// Recurrent stack → pooling → dense head → link: the network behind the estimators.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/dispatch.hpp"
#include "layers/dense.hpp"
#include "layers/pooling.hpp"
#include "layers/recurrent_stack.hpp"

namespace lstmcore {

// From raw scores to what is predicted.
enum class Link : std::uint8_t { kIdentity, kSigmoid, kSoftmax };

// Throws std::invalid_argument, naming the links there are.
Link link_from_name(std::string_view name);

// Applies the link to the K scores of one sample, in place.
template <class Scalar>
void apply_link(Link link, Scalar* scores, Index n_outputs) noexcept;

struct NetworkSpec {
  Index input_size = 0;
  std::vector<Index> hidden_sizes;
  Index n_outputs = 0;
  Pooling pooling = Pooling::kLast;
  Link link = Link::kIdentity;
  double dropout = 0.0;  // between layers and before the head, in training
  CellSpec cell = {};
  bool with_dx = false;  // whether gradients of x are asked for
};

template <class Scalar>
struct NetworkWorkspace {
  PackedBatch batch;
  StackWorkspace<Scalar> stack;
  AlignedBuffer<Scalar> pooled;        // (N, Hp) features of the head, after dropout
  AlignedBuffer<std::int32_t> argmax;  // (N, Hp) of max pooling
  AlignedBuffer<Scalar> scores;        // (N, Kp)
  AlignedBuffer<Scalar> dscores;       // (N, Kp)
  AlignedBuffer<Scalar> dpooled;       // (N, Hp)
  AlignedBuffer<Scalar> dy;            // (R, Hp) of mean and max pooling
  AlignedBuffer<Scalar> dx;            // (R, Ip) where it is asked for
  AlignedBuffer<Scalar> head_gradient_panels;
};

// A network is its packed weights: parameters live with the caller and are copied in by pack.
template <class Scalar>
class Network {
 public:
  Network(const NetworkSpec& spec, const Kernels& kernels);

  const NetworkSpec& spec() const noexcept { return spec_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  Index n_parameters() const noexcept { return stack_.n_parameters() + head_.n_parameters(); }
  const RecurrentStack<Scalar>& stack() const noexcept { return stack_; }
  Index padded_outputs() const noexcept { return head_.padded_outputs(); }

  void pack(const Scalar* parameters, Workers& workers) noexcept;

  // Memory for w.batch, in inference or (`training`) with what BPTT needs.
  void reserve(NetworkWorkspace<Scalar>& w, bool training, const Dropout& dropout) const;

  // The whole batch, from zero initial states: from x to w.scores, and then after_scores(n_begin,
  // n_end) for all sequences.
  template <class AfterScores>
  void forward(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
               Workers& workers, AfterScores&& after_scores) const {
    const std::vector<Index> cuts = stack_.split(w.batch, workers.size());
    const bool together = stack_.works_together(w.batch, workers.size());
    if (together) {
      start(w, 0, w.batch.n_sequences());
      stack_.forward_together(w.batch, x, dropout, w.stack, workers);
    }
    workers.each_between(cuts, [&](Index n_begin, Index n_end) {
      if (!together) {
        start(w, n_begin, n_end);
        stack_.forward(w.batch, x, dropout, w.stack, n_begin, n_end);
      }
      score(dropout, w, n_begin, n_end);
      after_scores(n_begin, n_end);
    });
  }
  // From w.dscores of some sequences to the gradients of what the stack put out.
  void backward_head(const Dropout& dropout, NetworkWorkspace<Scalar>& w, Index n_begin,
                     Index n_end) const noexcept;
  // From there to the gradient of all parameters.
  void backward(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w,
                Scalar* gradient, Workers& workers) const {
    backward(x, dropout, w, nullptr, gradient, workers);
  }

  // Scores of w.batch, or with the link applied predictions, to outputs (N, K).
  void predict(const Scalar* x, bool with_link, int n_threads, NetworkWorkspace<Scalar>& w,
               Scalar* outputs) const;

  // What predict would put out after one more step: from the hidden states h (N, H) of the top
  // layer after it, the number of steps so far, and what pooling carries along, pooled (N, H).
  void predict_step(const Scalar* h, const Index* n_steps, Index n_sequences, bool with_link,
                    NetworkWorkspace<Scalar>& w, Scalar* pooled, Scalar* outputs) const;

  // The gradient (R, I) of the sum of dscores (N, K) times scores with respect to x, without
  // dropout. The network must be one `with_dx`.
  void input_gradient(const Scalar* x, const Scalar* dscores, int n_threads,
                      NetworkWorkspace<Scalar>& w, Scalar* gradient) const;

 private:
  Index width() const noexcept { return stack_.top().padded_hidden_size(); }
  // Zero initial states; pooling and head.
  void start(NetworkWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void score(const Dropout& dropout, NetworkWorkspace<Scalar>& w, Index n_begin,
             Index n_end) const noexcept;
  void backward(const Scalar* x, const Dropout& dropout, NetworkWorkspace<Scalar>& w, Scalar* dx,
                Scalar* gradient, Workers& workers) const;
  // The gradient of every h_t of the top layer, or null where only the last has one.
  const Scalar* dy(const NetworkWorkspace<Scalar>& w) const noexcept {
    return spec_.pooling == Pooling::kLast ? nullptr : w.dy.data();
  }

  NetworkSpec spec_;
  const Kernels* kernels_;
  RecurrentStack<Scalar> stack_;
  Dense<Scalar> head_;
};

}  // namespace lstmcore
