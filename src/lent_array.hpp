// Arrays for callers in memory that comes back when the last view of them is gone.
#pragma once

#include <memory>
#include <utility>

#include "arrays.hpp"
#include "base/aligned_buffer.hpp"
#include "base/workspace_pool.hpp"

namespace lstmcore::binding {

template <class Scalar>
using ArrayPool = WorkspacePool<AlignedBuffer<Scalar>>;

// An array (size,) of unspecified values. Where arrays are large the system would take the memory
// of one and clear that of the next: 9 % of a training step at H 4096, 4 % at H 2048 (2 threads of
// a Zen 4, 2026-11).
template <class Scalar>
Array<Scalar> lent_array(const std::shared_ptr<ArrayPool<Scalar>>& pool, Index size) {
  struct Lent {
    explicit Lent(std::shared_ptr<ArrayPool<Scalar>> shared)
        : pool(std::move(shared)), buffer(pool->borrow()) {}
    std::shared_ptr<ArrayPool<Scalar>> pool;
    typename ArrayPool<Scalar>::Loan buffer;
  };
  auto lent = std::make_unique<Lent>(pool);
  Scalar* data = lent->buffer->reserve(size);
  const py::capsule owner(lent.get(), [](void* given) { delete static_cast<Lent*>(given); });
  lent.release();  // NOLINT(bugprone-unused-return-value): the capsule has it
  return Array<Scalar>({static_cast<py::ssize_t>(size)}, data, owner);
}

}  // namespace lstmcore::binding
