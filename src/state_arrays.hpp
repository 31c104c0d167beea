// States of the layers of a stack, and their gradients, as NumPy arrays.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "stack_pass.hpp"

namespace lstmcore::binding {

// One array of N rows per layer, or none at all.
template <class Scalar>
using StateArrays = std::vector<Array<Scalar>>;

// As wide as a layer says.
template <class Scalar>
StateArrays<Scalar> states_of(const RecurrentStack<Scalar>& stack, const py::object& object,
                              const char* name, Index N,
                              Index (RecurrentLayer<Scalar>::*width)() const noexcept) {
  StateArrays<Scalar> arrays;
  if (object.is_none()) return arrays;
  const auto list = py::cast<std::vector<py::object>>(object);
  if (static_cast<Index>(list.size()) != stack.n_layers()) {
    throw std::invalid_argument(std::string(name) + " must have one array for each of the " +
                                std::to_string(stack.n_layers()) + " layers, got " +
                                std::to_string(list.size()));
  }
  for (std::size_t l = 0; l < list.size(); ++l) {
    arrays.push_back(
        as_array<Scalar>(list[l], name, {N, (stack.layer(static_cast<Index>(l)).*width)()}));
  }
  return arrays;
}

template <class Scalar>
StatePointers<Scalar> pointers_of(const StateArrays<Scalar>& arrays) {
  StatePointers<Scalar> pointers;
  for (const Array<Scalar>& array : arrays) pointers.push_back(array.data());
  return pointers;
}

// h, or its gradient.
template <class Scalar>
StateArrays<Scalar> states_of(const RecurrentStack<Scalar>& stack, const py::object& object,
                              const char* name, Index N) {
  return states_of(stack, object, name, N, &RecurrentLayer<Scalar>::output_size);
}

template <class Scalar>
void require_cell_state(const RecurrentStack<Scalar>& stack, const char* name) {
  if (stack.cell().has_cell_state()) return;
  throw std::invalid_argument(std::string(name) + " must be None: the cell has no state c");
}

// c, or its gradient, which not every cell has.
template <class Scalar>
StateArrays<Scalar> cell_states_of(const RecurrentStack<Scalar>& stack, const py::object& object,
                                   const char* name, Index N) {
  if (!object.is_none()) require_cell_state(stack, name);
  return states_of(stack, object, name, N, &RecurrentLayer<Scalar>::hidden_size);
}

// c of a layer, or its gradient, for n rows; empty for a cell that has none.
template <class Scalar>
Array<Scalar> new_cell_state(const RecurrentStack<Scalar>& stack, Index l, Index n) {
  const bool is_there = stack.cell().has_cell_state();
  return new_array<Scalar>({is_there ? n : 0, stack.layer(l).hidden_size()});
}

// h and c of all layers for N sequences, or their gradients, as a layer gets them; c stays empty
// for a cell that has none.
template <class Scalar>
std::pair<py::list, py::list> state_lists(
    const RecurrentStack<Scalar>& stack, const PassMemory<Scalar>& memory, Index N,
    void (RecurrentLayer<Scalar>::*get)(const LayerWorkspace<Scalar>&, const PackedBatch&, Scalar*,
                                        Scalar*) const noexcept) {
  std::pair<py::list, py::list> lists;
  for (Index l = 0; l < stack.n_layers(); ++l) {
    auto h = new_array<Scalar>({N, stack.layer(l).output_size()});
    Array<Scalar> c = new_cell_state(stack, l, N);
    get_states(stack.layer(l), l, memory, get, h.mutable_data(), c.mutable_data());
    lists.first.append(h);
    if (stack.cell().has_cell_state()) lists.second.append(c);
  }
  return lists;
}

}  // namespace lstmcore::binding
