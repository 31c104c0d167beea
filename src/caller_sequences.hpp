// Sequences where callers have them: an array (N, T, F), or a list of arrays (T_n, F). Nothing is
// converted: what is not a plain array is left to whoever can say more about it.
#pragma once

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "arrays.hpp"
#include "layers/sequence_rows.hpp"

namespace lstmcore::binding {

// How long sequences are, the form that they came in, and the order that they are packed in.
struct SequenceForm {
  std::vector<Index> lengths;  // in the order of the caller
  std::vector<Index> order;    // which of the caller's each sequence of the packed batch is
  Index n_steps = -1;          // T of an array, -1 of a list
  bool reversed = false;       // whether layers read from the ends to the starts

  Index n_sequences() const { return static_cast<Index>(lengths.size()); }
  Index n_rows() const { return std::accumulate(lengths.begin(), lengths.end(), Index{0}); }
  bool is_array() const { return n_steps >= 0; }

  // Longest first, and those of one length as they came.
  void arrange() {
    order.resize(lengths.size());
    std::iota(order.begin(), order.end(), Index{0});
    if (is_array()) return;
    const auto length = [this](Index n) { return lengths[static_cast<std::size_t>(n)]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](Index a, Index b) { return length(a) > length(b); });
  }

  // How many sequences are alive at each step.
  std::vector<Index> n_active() const {
    if (lengths.empty()) return {};
    std::vector<Index> alive(
        static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end())));
    for (const Index length : lengths) {
      if (length > 0) ++alive[static_cast<std::size_t>(length) - 1];  // those that end there
    }
    for (std::size_t t = alive.size(); t > 1; --t) alive[t - 2] += alive[t - 1];
    return alive;
  }
};

// A C-contiguous array of T, and not of a class that means more by its values.
template <class T>
bool is_plain(const py::handle& object, py::ssize_t n_axes) {
  if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
  const auto array = py::reinterpret_borrow<py::array>(object);
  return array.ndim() == n_axes && has_dtype<T>(array) && (array.flags() & py::array::c_style) != 0;
}

// What a caller gave as sequences, kept alive.
template <class Scalar>
class CallerSequences {
 public:
  // False where it is anything else than plain arrays with rows of that width.
  bool read(const py::handle& object, Index width) {
    if (is_plain<Scalar>(object, 3)) return read_array(object, width);
    if (!PyList_CheckExact(object.ptr()) && !PyTuple_CheckExact(object.ptr())) return false;
    return read_list(object, width);
  }

  const std::vector<Index>& lengths() const { return lengths_; }
  Index n_steps() const { return n_steps_; }  // -1 of a list

  // In the order of a form that they have.
  SequenceRows<const Scalar> rows(const SequenceForm& form) {
    return place(first_, lengths_, form, width_, in_order_);
  }

  // Where layers find the first row of each sequence, by the caller's first rows.
  template <class Row>
  static SequenceRows<Row> place(const std::vector<Row*>& first, const std::vector<Index>& lengths,
                                 const SequenceForm& form, Index width,
                                 std::vector<Row*>& in_order) {
    in_order.clear();
    for (const Index n : form.order) {
      const auto i = static_cast<std::size_t>(n);
      const Index skipped = form.reversed ? std::max<Index>(lengths[i], 1) - 1 : 0;
      in_order.push_back(first[i] + skipped * width);
    }
    return {in_order.data(), form.reversed ? -width : width};
  }

 private:
  bool read_array(const py::handle& object, Index width) {
    const auto array = py::reinterpret_borrow<Array<Scalar>>(object);
    if (array.shape(2) != width) return false;
    width_ = width;
    n_steps_ = array.shape(1);
    held_.push_back(array);
    for (Index n = 0; n < array.shape(0); ++n) {
      first_.push_back(array.data() + n * n_steps_ * width);
      lengths_.push_back(n_steps_);
    }
    return true;
  }

  bool read_list(const py::handle& object, Index width) {
    width_ = width;
    const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(object.ptr()));
    first_.reserve(size);
    lengths_.reserve(size);
    held_.reserve(size);
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(object)) {
      if (!is_plain<Scalar>(item, 2)) return false;
      const auto array = py::reinterpret_borrow<Array<Scalar>>(item);
      if (array.shape(1) != width) return false;
      first_.push_back(array.data());
      lengths_.push_back(array.shape(0));
      held_.push_back(array);
    }
    return true;
  }

  Index width_ = 0;
  Index n_steps_ = -1;
  std::vector<py::object> held_;
  std::vector<const Scalar*> first_;
  std::vector<const Scalar*> in_order_;
  std::vector<Index> lengths_;
};

// New sequences of a form, as the caller gets them: of a list, views of one array.
template <class Scalar>
class NewSequences {
 public:
  NewSequences(const SequenceForm& form, Index width)
      : form_(form),
        width_(width),
        values_(form.is_array() ? new_array<Scalar>({form.n_sequences(), form.n_steps, width})
                                : new_array<Scalar>({form.n_rows(), width})) {
    Scalar* row = values_.mutable_data();
    for (const Index length : form.lengths) {
      first_.push_back(row);
      row += length * width;
    }
  }

  SequenceRows<Scalar> rows() {
    return CallerSequences<Scalar>::place(first_, form_.lengths, form_, width_, in_order_);
  }

  py::object as_object() const {
    if (form_.is_array()) return values_;
    py::list views(first_.size());
    const py::dtype dtype = py::dtype::of<Scalar>();
    for (std::size_t n = 0; n < first_.size(); ++n) {
      views[n] = view_of(values_, dtype, std::array{form_.lengths[n], width_}, first_[n]);
    }
    return views;
  }

 private:
  const SequenceForm& form_;
  Index width_;
  Array<Scalar> values_;
  std::vector<Scalar*> first_;
  std::vector<Scalar*> in_order_;
};

}  // namespace lstmcore::binding
