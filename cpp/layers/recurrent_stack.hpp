// Recurrent layers of one cell on top of each other, with dropout between them.
#pragma once

#include <vector>

#include "layers/dropout.hpp"
#include "layers/recurrent_layer.hpp"
#include "layers/stack_spec.hpp"

namespace lstmcore {

template <class Scalar>
struct StackWorkspace {
  std::vector<LayerWorkspace<Scalar>> layers;
  // What each layer above the first reads when dropout is active: (R, Hp) of the layer below.
  std::vector<AlignedBuffer<Scalar>> dropped;
  // Gradient of what each layer above the first reads; dy of the layer below, (R, Hp).
  std::vector<AlignedBuffer<Scalar>> dx;
};

// The gradient of the parameters, in the making, of one part of a batch.
template <class Scalar>
struct StackGradients {
  std::vector<LayerGradients<Scalar>> layers;
  Scalar* direct = nullptr;  // where the sums go without a detour, if they do
  bool begun = false;        // whether something stands there
};

template <class Scalar>
class RecurrentStack {
 public:
  RecurrentStack(const StackSpec& spec, const KernelTable<Scalar>& kernels);

  Index n_layers() const noexcept { return static_cast<Index>(layers_.size()); }
  const RecurrentLayer<Scalar>& layer(Index l) const {
    return layers_[static_cast<std::size_t>(l)];
  }
  const CellSpec& cell() const noexcept { return layers_.front().cell(); }
  const RecurrentLayer<Scalar>& top() const { return layers_.back(); }
  // Units that the stack puts out, and the width of their rows in memory.
  Index output_size() const noexcept { return layers_.back().hidden_size(); }
  Index padded_output_size() const noexcept { return layers_.back().padded_hidden_size(); }
  Index input_size() const noexcept { return layers_.front().input_size(); }
  Index n_parameters() const noexcept { return n_parameters_; }

  void reserve_panels();
  void pack(const Scalar* parameters, Workers& workers) noexcept;

  void reserve(StackWorkspace<Scalar>& w, const PackedBatch& batch, bool keep,
               const Dropout& dropout) const;
  void reserve_gradients(StackWorkspace<Scalar>& w, const PackedBatch& batch) const;
  void reserve_sums(StackGradients<Scalar>& sums, int n_threads) const;

  // How a batch is cut into parts, each in memory of its own: no thread writes near what another
  // one works on, which costs dearly where cores don't share a cache. In inference a part for each
  // thread. For a gradient the parts depend on the batch alone, as its sum over them does; where
  // the weights are large the batch is one part, and all threads work on it.
  std::vector<Index> parts(const PackedBatch& batch, int n_threads) const;
  std::vector<Index> gradient_parts(const PackedBatch& batch) const;

  // All layers and steps of a part: before(n_begin, n_end) sets the initial states of some
  // sequences, after(n_begin, n_end) finds them done. x (R, I).
  template <class Before, class After>
  void forward(const PackedBatch& batch, const BatchRows<const Scalar>& x, const Dropout& dropout,
               StackWorkspace<Scalar>& w, Workers& workers, Before&& before, After&& after) const {
    if (works_together(batch, workers.size())) {
      before(Index{0}, batch.n_sequences());
      forward_together(batch, x, dropout, w, workers);
      each_run(batch, workers, after);
      return;
    }
    each_run(batch, workers, [&](Index n_begin, Index n_end) {
      before(n_begin, n_end);
      forward_apart(batch, x, dropout, w, n_begin, n_end);
      after(n_begin, n_end);
    });
  }
  // Nothing is added up yet; `gradient` is what get_gradients will be given.
  void clear(StackGradients<Scalar>& sums, Scalar* gradient) const noexcept;
  // From the state gradients in w and dy (R, Hp of the top layer, or null) to dx (R, I padded to
  // the block, or null), and added to the sums, unless they are null. One worker for a part. With
  // `norms` it stops below the layer that they are of.
  void backward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                const BatchRows<const Scalar>& dy, const BatchRows<Scalar>& dx,
                const Dropout& dropout, StackWorkspace<Scalar>& w, StackGradients<Scalar>* sums,
                Workers& workers, const GradientNorms* norms = nullptr) const;
  // The gradient of the parameters: the sum over the parts, in their order.
  void get_gradients(const std::vector<StackGradients<Scalar>*>& parts, Scalar* gradient,
                     Workers& workers) const;

  // Multiply-adds of the matrix products for one row of input, forward.
  double multiply_adds_per_row() const noexcept;

 private:
  // Whether all workers should go through a part together, step by step, and not each with
  // sequences of its own. The bits are the same.
  bool works_together(const PackedBatch& batch, int n_threads) const noexcept;
  void forward_together(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                        const Dropout& dropout, StackWorkspace<Scalar>& w, Workers& workers) const;
  void forward_apart(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                     const Dropout& dropout, StackWorkspace<Scalar>& w, Index n_begin,
                     Index n_end) const noexcept;
  double weight_bytes() const noexcept { return multiply_adds_per_row() * sizeof(Scalar); }
  // Whether the gradient is as large that a batch is one part, and nothing is copied.
  bool sums_directly() const noexcept { return weight_bytes() > kLargeWeights; }
  // What layer l > 0 reads, and the gradient of it, pass through dropout.
  void drop_input(Index l, const PackedBatch& batch, const Dropout& dropout,
                  StackWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void drop_input_gradient(Index l, const PackedBatch& batch, const Dropout& dropout, Scalar* dx,
                           Index n_begin, Index n_end) const noexcept;
  BatchRows<const Scalar> layer_input(Index l, const PackedBatch& batch,
                                      const BatchRows<const Scalar>& x, const Dropout& dropout,
                                      const StackWorkspace<Scalar>& w) const noexcept;

  static constexpr double kLargeWeights = 4 << 20;  // bytes

  std::vector<RecurrentLayer<Scalar>> layers_;
  Index n_parameters_ = 0;
};

// One thread where a second would cost more than it brings.
int useful_threads(double multiply_adds, int n_threads) noexcept;

}  // namespace lstmcore
