// NumPy arrays at the border: nothing is converted here, and what does not fit is named.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "base/index.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore::binding {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;
template <class T>
using OptionalArrays = std::optional<std::vector<Array<T>>>;

inline std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (const Index n : shape)
    text += (text.size() > 1 ? ", " : "") + (n < 0 ? "any" : std::to_string(n));
  return text + (shape.size() == 1 ? ",)" : ")");
}

inline std::vector<Index> shape_of(const py::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

// The dtype itself is mostly the one of NumPy; to compare what it stands for takes longer.
template <class T>
bool has_dtype(const py::array& any) {
  return py::detail::array_proxy(any.ptr())->descr == py::dtype::of<T>().ptr() ||
         py::isinstance<py::array_t<T>>(any);
}

// Why `any` is not what as_array expects.
template <class T>
[[noreturn]] void refuse_array(const py::array& any, const char* name,
                               std::initializer_list<Index> expected) {
  if (!has_dtype<T>(any)) {
    throw std::invalid_argument(std::string(name) + " must have dtype " +
                                std::string(py::str(py::dtype::of<T>())) + ", got " +
                                std::string(py::str(any.dtype())));
  }
  const std::vector<Index> shape = shape_of(any);
  if (!std::equal(shape.begin(), shape.end(), expected.begin(), expected.end(),
                  [](Index here, Index n) { return n < 0 || here == n; })) {
    throw std::invalid_argument(std::string(name) + " must have shape " + shape_text(expected) +
                                ", got " + shape_text(shape));
  }
  throw std::invalid_argument(std::string(name) + " must be C-contiguous");
}

// Takes any Python object as an array of T in C order without a copy; a negative size in `expected`
// stands for any. Throws std::invalid_argument that names the argument. Allocates nothing.
template <class T>
Array<T> as_array(const py::handle& object, const char* name,
                  std::initializer_list<Index> expected) {
  if (!py::isinstance<py::array>(object)) {
    throw std::invalid_argument(std::string(name) + " must be a NumPy array, got " +
                                std::string(py::str(py::type::of(object))));
  }
  const auto any = py::reinterpret_borrow<py::array>(object);
  const bool fits =
      has_dtype<T>(any) &&
      std::equal(any.shape(), any.shape() + any.ndim(), expected.begin(), expected.end(),
                 [](Index here, Index n) { return n < 0 || here == n; }) &&
      (any.flags() & py::array::c_style) != 0;
  if (!fits) refuse_array<T>(any, name, expected);
  return py::reinterpret_borrow<Array<T>>(any);
}

template <class T>
Array<T> as_output(const py::handle& object, const char* name,
                   std::initializer_list<Index> expected) {
  Array<T> array = as_array<T>(object, name, expected);
  if (!array.writeable()) throw std::invalid_argument(std::string(name) + " must be writeable");
  return array;
}

template <class T>
Array<T> new_array(const std::vector<Index>& shape) {
  return Array<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

// A C-contiguous array in the memory of another one, which it keeps alive. py::array makes vectors
// of the shape and the strides, and takes 1.7 times as long.
inline py::object view_of(const py::array& owner, const py::dtype& dtype,
                          std::span<const Index> shape, const void* data) {
  static_assert(std::is_same_v<Index, Py_intptr_t>);
  const auto& numpy = py::detail::npy_api::get();
  auto view = py::reinterpret_steal<py::object>(numpy.PyArray_NewFromDescr_(
      numpy.PyArray_Type_, py::dtype(dtype).release().ptr(), static_cast<int>(shape.size()),
      shape.data(), nullptr, const_cast<void*>(data), py::detail::npy_api::NPY_ARRAY_WRITEABLE_,
      nullptr));
  if (!view || numpy.PyArray_SetBaseObject_(view.ptr(), owner.inc_ref().ptr()) != 0) {
    throw py::error_already_set();
  }
  return view;
}

inline void require_threads(int n_threads) {
  if (n_threads < 1) {
    throw std::invalid_argument("n_threads is " + std::to_string(n_threads) +
                                ", expected at least 1");
  }
}

// Describes a packed batch to the core.
inline void assign_batch(PackedBatch& batch, const py::handle& n_active, Index n_sequences) {
  if (n_sequences < 0) {
    throw std::invalid_argument("n_sequences is " + std::to_string(n_sequences) +
                                ", expected at least 0");
  }
  const auto steps = as_array<Index>(n_active, "n_active", {-1});
  batch.assign(steps.data(), steps.size(), n_sequences);
}

inline Array<Index> index_array(const std::vector<Index>& values) {
  return Array<Index>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace lstmcore::binding
