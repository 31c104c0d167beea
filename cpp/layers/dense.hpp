// The dense layer: scores = features W^T + b. Parameters in a flat buffer: W (K, F), b (K).
#pragma once

#include "base/aligned_buffer.hpp"
#include "base/parallel.hpp"
#include "kernels/kernel_table.hpp"

namespace lstmcore {

template <class Scalar>
class Dense {
 public:
  static constexpr Index B = kBlock<Scalar>;

  Dense(Index n_features, Index n_outputs, const KernelTable<Scalar>& kernels);

  Index n_outputs() const noexcept { return n_outputs_; }
  Index padded_outputs() const noexcept { return n_output_blocks_ * B; }
  Index padded_features() const noexcept { return n_feature_blocks_ * B; }
  Index n_parameters() const noexcept { return n_outputs_ * (n_features_ + 1); }

  void reserve_panels();
  void pack(const Scalar* parameters) noexcept;

  // Rows of features (.., F padded to B) to rows of scores (.., K padded to B), and back: dfeatures
  // is written, or added to.
  void forward(const Scalar* features, Scalar* scores, Index rows) const noexcept;
  void backward(const Scalar* dscores, Scalar* dfeatures, Index rows,
                bool accumulate = false) const noexcept;

  // The gradient of the parameters, each element summed over all rows in ascending order.
  Index gradient_panel_size() const noexcept { return (n_features_ + 1) * padded_outputs(); }
  void weight_gradients(const Scalar* features, const Scalar* dscores, Index rows,
                        Scalar* gradient_panels, Scalar* gradient, Workers& workers) const noexcept;
  // The same in two steps: added to columns [begin, end) of the F + 1 of the gradient panels, the
  // last of them that of b; and from whole panels to the gradient.
  void add_gradient_columns(const Scalar* features, const Scalar* dscores, Index rows,
                            Scalar* gradient_panels, Index begin, Index end) const noexcept;
  void unpack_gradient(const Scalar* gradient_panels, Scalar* gradient) const noexcept;

 private:
  Index n_features_;
  Index n_outputs_;
  Index n_feature_blocks_;
  Index n_output_blocks_;
  const KernelTable<Scalar>* kernels_;
  AlignedBuffer<Scalar> forward_panels_;   // [panel][F][4][B]
  AlignedBuffer<Scalar> bias_;             // (K padded)
  AlignedBuffer<Scalar> backward_panels_;  // [panel][K][4][B]
};

}  // namespace lstmcore
