// What a forward pass of a stack leaves for the backward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "base/workspace_pool.hpp"
#include "caller_sequences.hpp"
#include "layers/recurrent_stack.hpp"

namespace lstmcore::binding {

template <class Scalar>
struct PassPart {
  PackedBatch batch;
  StackWorkspace<Scalar> workspace;
  StackGradients<Scalar> sums;
  AlignedBuffer<Scalar> x, dy, dx;  // packed rows of this part, where the caller has sequences
};

// The memory of one pass.
template <class Scalar>
struct PassMemory {
  PackedBatch batch;
  std::vector<PassPart<Scalar>> parts;
  AlignedBuffer<Scalar> dy, dx;
  bool packed = true;  // whether the caller's rows are; if not, they are sequences of this form
  SequenceForm form;
};

// The backward pass overwrites it. The memory goes back to the stack's pool with it: a training
// step of a size seen before touches no fresh page.
template <class Scalar>
struct Cache {
  using Pool = WorkspacePool<PassMemory<Scalar>>;

  Cache(std::shared_ptr<Pool> shared_pool, std::uint64_t id)
      : pool(std::move(shared_pool)), memory(pool->borrow()), stack_id(id) {}

  std::shared_ptr<Pool> pool;
  typename Pool::Loan memory;
  Array<Scalar> x;
  std::uint64_t stack_id;  // of the stack that made it
  bool spent = false;
};

}  // namespace lstmcore::binding
