// Recurrent layers of one cell on top of each other, with dropout between them.
#pragma once

#include <vector>

#include "layers/dropout.hpp"
#include "layers/recurrent_layer.hpp"

namespace lstmcore {

template <class Scalar>
struct StackWorkspace {
  std::vector<LayerWorkspace<Scalar>> layers;
  // What each layer above the first reads when dropout is active: (R, Hp) of the layer below.
  std::vector<AlignedBuffer<Scalar>> dropped;
  // Gradient of what each layer above the first reads; dy of the layer below, (R, Hp).
  std::vector<AlignedBuffer<Scalar>> dx;
};

template <class Scalar>
class RecurrentStack {
 public:
  // `with_dx` where backward is asked for the gradient of x.
  RecurrentStack(const CellSpec& cell, Index input_size, const std::vector<Index>& hidden_sizes,
                 bool with_dx, const KernelTable<Scalar>& kernels);

  Index n_layers() const noexcept { return static_cast<Index>(layers_.size()); }
  const RecurrentLayer<Scalar>& layer(Index l) const {
    return layers_[static_cast<std::size_t>(l)];
  }
  const CellSpec& cell() const noexcept { return layers_.front().cell(); }
  const RecurrentLayer<Scalar>& top() const { return layers_.back(); }
  Index input_size() const noexcept { return layers_.front().input_size(); }
  Index n_parameters() const noexcept { return n_parameters_; }

  void reserve_panels();
  void pack(const Scalar* parameters, Workers& workers) noexcept;

  void reserve(StackWorkspace<Scalar>& w, const PackedBatch& batch, bool keep,
               const Dropout& dropout) const;
  void reserve_gradients(StackWorkspace<Scalar>& w, const PackedBatch& batch) const;

  // All layers and steps of the sequences [n_begin, n_end), from the initial states in w.
  void forward(const PackedBatch& batch, const Scalar* x, const Dropout& dropout,
               StackWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  // Whether all workers should go through the batch together, step by step, and not each with
  // sequences of its own. The bits are the same.
  bool works_together(const PackedBatch& batch, int n_threads) const noexcept;
  void forward_together(const PackedBatch& batch, const Scalar* x, const Dropout& dropout,
                        StackWorkspace<Scalar>& w, Workers& workers) const;
  // BPTT of the whole batch, from the state gradients in w and dy (R, Hp of the top layer, or null)
  // to dx (R, I padded to the block, or null) and the gradient of the parameters.
  void backward(const PackedBatch& batch, const Scalar* x, const Scalar* dy, Scalar* dx,
                const Dropout& dropout, StackWorkspace<Scalar>& w, Scalar* gradient,
                Workers& workers) const;

  // Multiply-adds of the matrix products for one row of input, forward.
  double multiply_adds_per_row() const noexcept;
  // Boundaries of the runs of sequences that a batch is cut into: enough for the threads, and small
  // enough that the states of one stay in cache where the weights do too.
  std::vector<Index> split(const PackedBatch& batch, int n_threads) const;

 private:
  struct Input {
    const Scalar* x;
    Index stride;
  };
  // What layer l > 0 reads, and the gradient of it, pass through dropout.
  void drop_input(Index l, const PackedBatch& batch, const Dropout& dropout,
                  StackWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void drop_input_gradient(Index l, const PackedBatch& batch, const Dropout& dropout, Scalar* dx,
                           Index n_begin, Index n_end) const noexcept;
  Input layer_input(Index l, const PackedBatch& batch, const Scalar* x, const Dropout& dropout,
                    const StackWorkspace<Scalar>& w) const noexcept;

  std::vector<RecurrentLayer<Scalar>> layers_;
  Index n_parameters_ = 0;
};

// One thread where a second would cost more than it brings.
int useful_threads(double multiply_adds, int n_threads) noexcept;

}  // namespace lstmcore
