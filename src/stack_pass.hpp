// Passes of a stack over a batch, part by part: from the rows that the caller has to those that a
// part works on, and back. Nothing here knows of Python.
#pragma once

#include <algorithm>
#include <vector>

#include "base/parallel.hpp"
#include "stack_cache.hpp"

namespace lstmcore::binding {

// For each layer h or c of all sequences, or the gradient; none at all stands for zeros.
template <class Scalar>
using StatePointers = std::vector<const Scalar*>;

// What a caller has for every step of a batch: packed rows, or sequences; or neither.
template <class Scalar>
struct CallerRows {
  Scalar* packed = nullptr;
  SequenceRows<Scalar> sequences;

  bool given() const noexcept { return packed != nullptr || sequences.first != nullptr; }
};

template <class Scalar>
double multiply_adds(const RecurrentStack<Scalar>& stack, const PackedBatch& batch) {
  return stack.multiply_adds_per_row() * static_cast<double>(batch.n_rows());
}

// The states of layer l from sequence `first` on, or null for zeros.
template <class Scalar>
const Scalar* state_at(const StatePointers<Scalar>& states, Index l, Index first, Index width) {
  return states.empty() ? nullptr : states[static_cast<std::size_t>(l)] + first * width;
}

// Cuts the batch of `memory` into parts and gets their memory; returns the threads worth their
// start.
template <class Scalar>
int reserve_forward(const RecurrentStack<Scalar>& stack, PassMemory<Scalar>& memory,
                    const ForwardPlan& plan, const Dropout& masks, int n_threads) {
  const PackedBatch& batch = memory.batch;
  const int threads = useful_threads(multiply_adds(stack, batch), n_threads);
  assign_parts(memory.parts, batch,
               plan.keep ? stack.gradient_parts(batch) : stack.parts(batch, threads));
  for (PassPart<Scalar>& part : memory.parts) {
    stack.reserve(part.workspace, part.batch, plan, masks);
    if (memory.packed) continue;
    part.x.reserve(checked_product(part.batch.n_rows(), stack.input_size()));
  }
  return threads;
}

template <class Scalar>
void forward_pass(const RecurrentStack<Scalar>& stack, PassMemory<Scalar>& memory,
                  const CallerRows<const Scalar>& x, const StatePointers<Scalar>& h0,
                  const StatePointers<Scalar>& c0, const Dropout& masks,
                  const CallerRows<Scalar>& y, int n_threads) {
  const Index I = stack.input_size();
  run_with_workers(n_threads, [&](Workers& workers) {
    each_part(memory.parts, workers, [&](PassPart<Scalar>& part, Workers& its_workers) {
      const Index first = part.batch.first_sequence();
      const auto start = [&](Index n_begin, Index n_end) {
        for (Index l = 0; l < stack.n_layers(); ++l) {
          const RecurrentLayer<Scalar>& layer = stack.layer(l);
          layer.set_initial_state(part.workspace.layers[static_cast<std::size_t>(l)], part.batch,
                                  state_at(h0, l, first, layer.output_size()),
                                  state_at(c0, l, first, layer.hidden_size()), n_begin, n_end);
        }
        if (memory.packed) return;
        pack_sequences(part.batch, x.sequences.of_part(first), I, {part.x.data(), I, false},
                       n_begin, n_end);
      };
      const auto finish = [&](Index n_begin, Index n_end) {
        if (memory.packed) {
          stack.get_output(part.workspace, part.batch, y.packed, n_begin, n_end);
        } else {
          const BatchRows<const Scalar> rows = stack.output(part.workspace, part.batch);
          unpack_sequences(part.batch, rows.data, rows.stride, y.sequences.of_part(first),
                           stack.output_size(), n_begin, n_end);
        }
      };
      const BatchRows<const Scalar> rows{memory.packed ? x.packed : part.x.data(), I,
                                         memory.packed};
      stack.forward(part.batch, rows, masks.of_part(first), part.workspace, its_workers, start,
                    finish);
    });
  });
}

// h and c of a layer after the last step of each sequence, or their gradients, of all parts.
template <class Scalar>
void get_states(const RecurrentLayer<Scalar>& layer, Index l, const PassMemory<Scalar>& memory,
                void (RecurrentLayer<Scalar>::*get)(const LayerWorkspace<Scalar>&,
                                                    const PackedBatch&, Scalar*, Scalar*)
                    const noexcept,
                Scalar* h, Scalar* c) {
  for (const PassPart<Scalar>& part : memory.parts) {
    const Index first = part.batch.first_sequence();
    (layer.*get)(part.workspace.layers[static_cast<std::size_t>(l)], part.batch,
                 h + first * layer.output_size(),
                 c == nullptr ? nullptr : c + first * layer.hidden_size());
  }
}

// What a backward pass starts from, and the places of what it is for: the gradient of the
// parameters `flat`, and norms, where they are not null.
template <class Scalar>
struct BackwardRows {
  const Scalar* x;  // packed, where the caller's rows are
  CallerRows<const Scalar> dy;
  bool dy_is_array;  // and not a list of sequences, which may lie anywhere
  StatePointers<Scalar> dh_n, dc_n;
  CallerRows<Scalar> dx;
  bool needs_dstate;  // whether the gradient of the initial state is asked for
  Scalar* flat;
  const GradientNorms* norms;
};

// Whether sequences of gradients are to be packed, and not read where they lie: an array is read
// row by row as it is, which spares some 5 % of the time of an RNN (T 100 N 64 I 32 H 128, two
// threads of a Zen 4, 2026-11). To write y there as well, straight from the cell, gained nothing:
// its rows are T H apart, and with T H a multiple of 1024 all of them share a set of the cache.
template <class Scalar>
bool packs_gradient(const RecurrentStack<Scalar>& stack, const PassMemory<Scalar>& memory,
                    const BackwardRows<Scalar>& rows) {
  const bool is_regular = rows.dy_is_array && memory.form.is_array() && !memory.form.reversed;
  return rows.dy.given() && !(is_regular && stack.output_is_h());
}

// Gets the memory of BPTT; returns the threads worth their start.
template <class Scalar>
int reserve_backward(const RecurrentStack<Scalar>& stack, PassMemory<Scalar>& memory,
                     const BackwardRows<Scalar>& rows, int n_threads) {
  const int threads = useful_threads(2.0 * multiply_adds(stack, memory.batch), n_threads);
  const Index padded_inputs = round_up(stack.input_size(), kBlock<Scalar>);
  if (rows.dx.packed != nullptr) {
    memory.dx.reserve(checked_product(memory.batch.n_rows(), padded_inputs));
  }
  for (PassPart<Scalar>& part : memory.parts) {
    stack.reserve_gradients(part.workspace, part.batch, rows.needs_dstate);
    if (rows.flat != nullptr) stack.reserve_sums(part.sums, threads);
    if (memory.packed) continue;
    const Index n_rows = part.batch.n_rows();
    if (packs_gradient(stack, memory, rows)) {
      part.dy.reserve(checked_product(n_rows, stack.padded_output_size()));
    }
    if (rows.dx.given()) part.dx.reserve(checked_product(n_rows, padded_inputs));
  }
  return threads;
}

// Packed rows of dy as the core wants them; the caller's where they need no padding.
template <class Scalar>
BatchRows<const Scalar> packed_gradient(const RecurrentStack<Scalar>& stack, const Scalar* from,
                                        Index rows, AlignedBuffer<Scalar>& buffer) {
  const Index width = stack.output_size();
  const Index padded_width = stack.padded_output_size();
  if (from == nullptr || stack.output_is_h()) return {from, width, true};
  Scalar* to = buffer.reserve_zeroed(checked_product(rows, padded_width));
  for (Index r = 0; r < rows; ++r) std::copy_n(from + r * width, width, to + r * padded_width);
  return {to, padded_width, true};
}

// BPTT of one part; packed rows of dx are not cut yet.
template <class Scalar>
void backward_part(const RecurrentStack<Scalar>& stack, const PassMemory<Scalar>& memory,
                   const BackwardRows<Scalar>& rows, const BatchRows<const Scalar>& packed_dy,
                   Scalar* packed_dx, PassPart<Scalar>& part, StackGradients<Scalar>* sums,
                   Workers& workers) {
  const Index I = stack.input_size();
  const Index width = stack.padded_output_size();
  const Index padded_inputs = round_up(I, kBlock<Scalar>);
  const Index first = part.batch.first_sequence();
  if (memory.packed) {
    stack.backward(part.batch, {rows.x, I, true}, packed_dy, {packed_dx, padded_inputs, true},
                   Dropout{}, part.workspace, sums, workers, rows.norms);
    return;
  }
  BatchRows<const Scalar> dy{};
  if (packs_gradient(stack, memory, rows)) {
    dy = {part.dy.data(), width, false};
    each_run(part.batch, workers, [&](Index n_begin, Index n_end) {
      pack_sequences(part.batch, rows.dy.sequences.of_part(first), stack.output_size(),
                     {part.dy.data(), width, false}, n_begin, n_end);
    });
  } else if (rows.dy.given()) {
    const Index H = stack.output_size();
    dy = {rows.dy.sequences.first[first], memory.form.n_steps * H, false, H};
  }
  const bool has_dx = rows.dx.given();
  stack.backward(part.batch, {part.x.data(), I, false}, dy,
                 {has_dx ? part.dx.data() : nullptr, padded_inputs, false}, Dropout{},
                 part.workspace, sums, workers, rows.norms);
  if (!has_dx) return;
  each_run(part.batch, workers, [&](Index n_begin, Index n_end) {
    unpack_sequences(part.batch, part.dx.data(), padded_inputs, rows.dx.sequences.of_part(first), I,
                     n_begin, n_end);
  });
}

template <class Scalar>
void backward_pass(const RecurrentStack<Scalar>& stack, PassMemory<Scalar>& memory,
                   const BackwardRows<Scalar>& rows, int n_threads) {
  const Index I = stack.input_size();
  const Index R = memory.batch.n_rows();
  const Index padded_inputs = round_up(I, kBlock<Scalar>);
  const BatchRows<const Scalar> dy = packed_gradient(stack, rows.dy.packed, R, memory.dy);
  Scalar* dx = rows.dx.packed == nullptr ? nullptr : memory.dx.data();
  run_with_workers(n_threads, [&](Workers& workers) {
    each_part(memory.parts, workers, [&](PassPart<Scalar>& part, Workers& its_workers) {
      const Index first = part.batch.first_sequence();
      for (Index l = 0; l < stack.n_layers(); ++l) {
        const RecurrentLayer<Scalar>& layer = stack.layer(l);
        layer.set_state_gradient(part.workspace.layers[static_cast<std::size_t>(l)], part.batch,
                                 state_at(rows.dh_n, l, first, layer.output_size()),
                                 state_at(rows.dc_n, l, first, layer.hidden_size()), 0,
                                 part.batch.n_sequences());
      }
      StackGradients<Scalar>* sums = rows.flat == nullptr ? nullptr : &part.sums;
      if (sums != nullptr) stack.clear(*sums, rows.flat);
      backward_part(stack, memory, rows, dy, dx, part, sums, its_workers);
    });
    if (rows.flat == nullptr) return;
    std::vector<StackGradients<Scalar>*> parts;
    for (PassPart<Scalar>& part : memory.parts) parts.push_back(&part.sums);
    stack.get_gradients(parts, rows.flat, workers);
  });
  if (dx == nullptr) return;
  for (Index r = 0; r < R; ++r) std::copy_n(dx + r * padded_inputs, I, rows.dx.packed + r * I);
}

}  // namespace lstmcore::binding
