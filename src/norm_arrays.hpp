// Norms of the gradients of a layer's states as NumPy arrays.
#pragma once

#include <string>

#include "arrays.hpp"
#include "layers/recurrent_stack.hpp"

namespace lstmcore::binding {

// Throws std::invalid_argument where there is no such layer.
template <class Scalar>
void require_layer(const RecurrentStack<Scalar>& stack, Index layer) {
  if (layer >= 0 && layer < stack.n_layers()) return;
  throw std::invalid_argument("layer is " + std::to_string(layer) + ", expected 0 to " +
                              std::to_string(stack.n_layers() - 1));
}

class NormArrays {
 public:
  // N sequences, R rows.
  template <class Scalar>
  NormArrays(const RecurrentStack<Scalar>& stack, Index layer, Index N, Index R)
      : layer_(layer), n_sequences_(N), has_cell_state_(stack.cell().has_cell_state()) {
    require_layer(stack, layer);
    hidden_ = new_array<double>({N + R});
    if (has_cell_state_) cell_ = new_array<double>({N + R});
  }

  GradientNorms norms() {
    return {layer_, n_sequences_, hidden_.mutable_data(),
            has_cell_state_ ? cell_.mutable_data() : nullptr};
  }
  // c is None for a cell that has none.
  py::tuple as_tuple() const {
    if (has_cell_state_) return py::make_tuple(hidden_, cell_);
    return py::make_tuple(hidden_, py::none());
  }

 private:
  Index layer_;
  Index n_sequences_;
  bool has_cell_state_;
  Array<double> hidden_;
  Array<double> cell_;
};

}  // namespace lstmcore::binding
