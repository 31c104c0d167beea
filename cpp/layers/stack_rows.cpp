#include "layers/stack_rows.hpp"

#include <algorithm>

namespace lstmcore {
namespace {

// Runs body(from, to) for pairs of rows; those of `to` in the order of memory.
template <class Scalar, class Body>
void each_pair(const PackedBatch& batch, RowOrder order, const BatchRows<const Scalar>& from,
               const BatchRows<Scalar>& to, Index n_begin, Index n_end, Body&& body) {
  for (Index t = 0; t < batch.n_steps() && batch.n_active(t) > n_begin; ++t) {
    Scalar* to_row = to.at(batch, t) + n_begin * to.stride;
    for (Index n = n_begin; n < std::min(n_end, batch.n_active(t)); ++n) {
      const Index from_step = order == RowOrder::kSame ? t : batch.length(n) - 1 - t;
      body(from.at(batch, from_step) + n * from.stride, to_row);
      to_row += to.stride;
    }
  }
}

}  // namespace

template <class Scalar>
void copy_rows(const PackedBatch& batch, RowOrder order, const BatchRows<const Scalar>& from,
               Index size, const BatchRows<Scalar>& to, Index width, Index n_begin,
               Index n_end) noexcept {
  each_pair(batch, order, from, to, n_begin, n_end, [&](const Scalar* from_row, Scalar* to_row) {
    std::copy_n(from_row, size, to_row);
    std::fill_n(to_row + size, width - size, Scalar{0});
  });
}

template <class Scalar>
void add_rows(const PackedBatch& batch, RowOrder order, const BatchRows<const Scalar>& from,
              const BatchRows<Scalar>& to, Index width, Index n_begin, Index n_end) noexcept {
  each_pair(batch, order, from, to, n_begin, n_end, [&](const Scalar* from_row, Scalar* to_row) {
    for (Index j = 0; j < width; ++j) to_row[j] += from_row[j];
  });
}

template <class Scalar>
void drop_rows(const KernelTable<Scalar>& kernels, const Dropout& dropout, const PackedBatch& batch,
               Index level, const BatchRows<const Scalar>& from, const BatchRows<Scalar>& to,
               Index n_begin, Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    for (Index t = 0; t < batch.length(n); ++t) {
      dropout.apply(kernels, n, level, dropout.step(n, t), to.stride,
                    from.at(batch, t) + n * from.stride, to.at(batch, t) + n * to.stride);
    }
  }
}

template void copy_rows(const PackedBatch&, RowOrder, const BatchRows<const float>&, Index,
                        const BatchRows<float>&, Index, Index, Index) noexcept;
template void copy_rows(const PackedBatch&, RowOrder, const BatchRows<const double>&, Index,
                        const BatchRows<double>&, Index, Index, Index) noexcept;
template void add_rows(const PackedBatch&, RowOrder, const BatchRows<const float>&,
                       const BatchRows<float>&, Index, Index, Index) noexcept;
template void add_rows(const PackedBatch&, RowOrder, const BatchRows<const double>&,
                       const BatchRows<double>&, Index, Index, Index) noexcept;
template void drop_rows(const KernelTable<float>&, const Dropout&, const PackedBatch&, Index,
                        const BatchRows<const float>&, const BatchRows<float>&, Index,
                        Index) noexcept;
template void drop_rows(const KernelTable<double>&, const Dropout&, const PackedBatch&, Index,
                        const BatchRows<const double>&, const BatchRows<double>&, Index,
                        Index) noexcept;

}  // namespace lstmcore
