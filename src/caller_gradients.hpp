// What callers give and get beside their sequences: states, and gradients of either.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "caller_sequences.hpp"
#include "stack_pass.hpp"
#include "state_arrays.hpp"

namespace lstmcore::binding {

// For states that are one array (L, N, H).
template <class Scalar>
void require_equal_sizes(const RecurrentStack<Scalar>& stack, const char* what) {
  for (Index l = 0; l < stack.n_layers(); ++l) {
    if (stack.layer(l).hidden_size() == stack.layer(stack.n_layers() - 1).hidden_size()) continue;
    throw std::invalid_argument(std::string(what) + " needs layers of equal hidden_sizes");
  }
}

// One array (L, N, width) of a state, in the caller's order, for the core: in that of the batch.
template <class Scalar>
class CallerStatePart {
 public:
  // False where it is anything else than a plain array of that shape, or None.
  bool read(const py::handle& object, Index n_layers, Index N, Index width) {
    if (object.is_none()) return true;
    if (!is_plain<Scalar>(object, 3)) return false;
    array_ = py::reinterpret_borrow<Array<Scalar>>(object);
    return array_->shape(0) == n_layers && array_->shape(1) == N && array_->shape(2) == width;
  }

  StatePointers<Scalar> pointers(const SequenceForm& form) {
    StatePointers<Scalar> layers;
    if (!array_) return layers;
    const Index L = array_->shape(0);
    const Index N = array_->shape(1);
    const Index width = array_->shape(2);
    const Scalar* from = array_->data();
    if (!form.is_array()) {
      in_order_.resize(static_cast<std::size_t>(L * N * width));
      Scalar* to = in_order_.data();
      for (Index l = 0; l < L; ++l) {
        for (const Index n : form.order) to = std::copy_n(from + (l * N + n) * width, width, to);
      }
      from = in_order_.data();
    }
    for (Index l = 0; l < L; ++l) layers.push_back(from + l * N * width);
    return layers;
  }

 private:
  std::optional<Array<Scalar>> array_;
  std::vector<Scalar> in_order_;
};

// A state, or its gradient: (h, c), or h alone where the cell has no c; or None.
template <class Scalar>
class CallerState {
 public:
  CallerState(const RecurrentStack<Scalar>& stack, Index N) : stack_(stack), n_sequences_(N) {
    require_equal_sizes(stack, "run");
  }

  // False where it is no such thing; a part of a gradient may be None.
  bool read(const py::handle& object, bool of_gradient) {
    const RecurrentLayer<Scalar>& top = stack_.layer(stack_.n_layers() - 1);
    const auto read_part = [&](CallerStatePart<Scalar>& part, const py::handle& given,
                               Index width) {
      return part.read(given, stack_.n_layers(), n_sequences_, width);
    };
    if (object.is_none()) return true;
    if (!stack_.cell().has_cell_state()) return read_part(h_, object, top.output_size());
    if (!PyTuple_CheckExact(object.ptr()) && !PyList_CheckExact(object.ptr())) return false;
    const auto pair = py::reinterpret_borrow<py::sequence>(object);
    if (pair.size() != 2) return false;
    const py::object h = pair[0];
    const py::object c = pair[1];
    if (!of_gradient && (h.is_none() || c.is_none())) return false;
    return read_part(h_, h, top.output_size()) && read_part(c_, c, top.hidden_size());
  }

  StatePointers<Scalar> hidden(const SequenceForm& form) { return h_.pointers(form); }
  StatePointers<Scalar> cell(const SequenceForm& form) { return c_.pointers(form); }

 private:
  const RecurrentStack<Scalar>& stack_;
  Index n_sequences_;
  CallerStatePart<Scalar> h_, c_;
};

// What a backward pass of sequences starts from.
template <class Scalar>
class SequenceGradients {
 public:
  SequenceGradients(const RecurrentStack<Scalar>& stack, const SequenceForm& form)
      : stack_(stack), form_(form), state_(stack, form.n_sequences()) {}

  // False where dy is neither None nor plain sequences of the lengths of x, or dstate no state.
  bool read(const py::handle& dy, const py::handle& dstate) {
    if (!state_.read(dstate, true)) return false;
    has_dy_ = !dy.is_none();
    return !has_dy_ || (dy_.read(dy, stack_.output_size()) && dy_.lengths() == form_.lengths);
  }

  BackwardRows<Scalar> rows() {
    BackwardRows<Scalar> rows{};
    if (has_dy_) rows.dy.sequences = dy_.rows(form_);
    rows.dy_is_array = dy_.n_steps() >= 0;
    rows.dh_n = state_.hidden(form_);
    rows.dc_n = state_.cell(form_);
    return rows;
  }

 private:
  const RecurrentStack<Scalar>& stack_;
  const SequenceForm& form_;
  CallerState<Scalar> state_;
  CallerSequences<Scalar> dy_;
  bool has_dy_ = false;
};

// The same of packed rows.
template <class Scalar>
class PackedGradients {
 public:
  PackedGradients(const RecurrentStack<Scalar>& stack, const PassMemory<Scalar>& memory,
                  const py::object& dy, const py::object& dh_n, const py::object& dc_n)
      : dh_n_(states_of(stack, dh_n, "dh_n", memory.batch.n_sequences())),
        dc_n_(cell_states_of(stack, dc_n, "dc_n", memory.batch.n_sequences())) {
    if (!dy.is_none()) {
      dy_ = as_array<Scalar>(dy, "dy", {memory.batch.n_rows(), stack.output_size()});
    }
  }

  BackwardRows<Scalar> rows(const Cache<Scalar>& cache) const {
    BackwardRows<Scalar> rows{};
    rows.x = cache.x.data();
    if (dy_) rows.dy.packed = dy_->data();
    rows.dh_n = pointers_of(dh_n_);
    rows.dc_n = pointers_of(dc_n_);
    return rows;
  }

 private:
  StateArrays<Scalar> dh_n_, dc_n_;
  std::optional<Array<Scalar>> dy_;
};

// The gradient of the parameters by their names: views of one array.
template <class Scalar>
py::dict named_views(const std::vector<ParameterEntry>& entries, const Array<Scalar>& flat) {
  const auto dtype = py::dtype::of<Scalar>();
  py::dict views;
  for (const ParameterEntry& entry : entries) {
    views[py::str(entry.name)] = view_of(flat, dtype, entry.shape, flat.data() + entry.offset);
  }
  return views;
}

// The states of all layers, or their gradients, in the order and the form of the caller.
template <class Scalar>
py::object new_state(const RecurrentStack<Scalar>& stack, const PassMemory<Scalar>& memory,
                     const SequenceForm& form,
                     void (RecurrentLayer<Scalar>::*get)(const LayerWorkspace<Scalar>&,
                                                         const PackedBatch&, Scalar*, Scalar*)
                         const noexcept) {
  const Index L = stack.n_layers();
  const Index N = form.n_sequences();
  const bool has_cell_state = stack.cell().has_cell_state();
  const Index widths[2] = {stack.layer(L - 1).output_size(), stack.layer(L - 1).hidden_size()};
  auto h = new_array<Scalar>({L, N, widths[0]});
  auto c = new_array<Scalar>({has_cell_state ? L : 0, N, widths[1]});
  std::vector<Scalar> packed[2];
  Scalar* arrays[2] = {h.mutable_data(), has_cell_state ? c.mutable_data() : nullptr};
  Scalar* targets[2] = {arrays[0], arrays[1]};
  for (int part = 0; part < 2 && !form.is_array(); ++part) {
    if (arrays[part] == nullptr) continue;
    packed[part].resize(static_cast<std::size_t>(N * widths[part]));
    targets[part] = packed[part].data();
  }
  for (Index l = 0; l < L; ++l) {
    get_states(stack.layer(l), l, memory, get, targets[0], targets[1]);
    for (int part = 0; part < 2; ++part) {
      if (arrays[part] == nullptr) continue;
      const Index width = widths[part];
      if (form.is_array()) {
        targets[part] += N * width;
        continue;
      }
      for (Index n = 0; n < N; ++n) {
        const Index to = l * N + form.order[static_cast<std::size_t>(n)];
        std::copy_n(packed[part].data() + n * width, width, arrays[part] + to * width);
      }
    }
  }
  if (!has_cell_state) return h;
  return py::make_tuple(h, c);
}

}  // namespace lstmcore::binding
