// What a network is made of, and the memory that a batch of it needs.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "layers/attention.hpp"
#include "layers/embedding.hpp"
#include "layers/pooling.hpp"
#include "layers/recurrent_stack.hpp"
#include "layers/sequence_rows.hpp"

namespace lstmcore {

// From raw scores to what is predicted.
enum class Link : std::uint8_t { kIdentity, kSigmoid, kSoftmax };

// Throws std::invalid_argument, naming the links there are.
Link link_from_name(std::string_view name);

// Applies the link to the K scores of one sample, in place.
template <class Scalar>
void apply_link(Link link, Scalar* scores, Index n_outputs) noexcept;

struct NetworkSpec {
  StackSpec stack;  // reads embeddings in place of tokens; with_dx where there are some
  Index n_outputs = 0;
  Pooling pooling = Pooling::kLast;
  Link link = Link::kIdentity;
  double dropout = 0.0;  // between layers and before the head, in training
  std::vector<EmbeddingSpec> embeddings;

  // Columns of x.
  Index n_columns() const noexcept {
    Index n = stack.input_size;
    for (const EmbeddingSpec& each : embeddings) n -= each.size - 1;
    return n;
  }
};

// How a gradient goes back through time.
struct BpttOptions {
  Index tbptt_steps = 0;   // how many steps at most; 0: all
  bool recompute = false;  // whether to keep states alone, and make gates again when they're needed
};

// Whether a network can be worked on window by window: a layer that reads from the end begins where
// the last window is.
inline bool has_windows(const NetworkSpec& spec) noexcept { return !spec.stack.bidirectional; }

// What stays of a part of a batch when it has been worked on.
template <class Scalar>
struct NetworkPart {
  PackedBatch batch;
  std::vector<BatchWindow> windows;  // in time; none where it is worked on in one go
  StackGradients<Scalar> sums;
  AlignedBuffer<Scalar> attention_sums;
  AlignedBuffer<Scalar> dinputs;  // (R, E padded to the block) where there are embeddings
};

// What it leaves to the next one.
template <class Scalar>
struct PartMemory {
  StackWorkspace<Scalar> stack;
  AttentionWorkspace<Scalar> attention;
  AlignedBuffer<Scalar> inputs;  // (R, E) where there are embeddings, of the part or of a window
  AlignedBuffer<Scalar> dy;      // (R, Hp) where every step, or what is no h, has a gradient
  // Of a part with windows: x of one, gradients of its embeddings; states before one or before
  // each, their gradients.
  AlignedBuffer<Scalar> x, dinputs, states, dstates;
};

template <class Scalar>
struct NetworkWorkspace {
  PackedBatch batch;
  BpttOptions bptt;
  std::vector<NetworkPart<Scalar>> parts;
  std::vector<PartMemory<Scalar>> memories;  // one for each thread
  // Where x is not packed when a pass begins: its sequences, and the place of the packed rows.
  SequenceRows<const Scalar> sequences;
  std::vector<const Scalar*> first_rows;  // (N), what they begin with
  AlignedBuffer<Scalar> x;                // (R, I)
  AlignedBuffer<Scalar> pooled;           // (N, Hp) features of the head, after dropout
  AlignedBuffer<std::int32_t> argmax;     // (N, Hp) of max pooling
  AlignedBuffer<Scalar> scores;           // (N, Kp)
  AlignedBuffer<Scalar> dscores;          // (N, Kp)
  AlignedBuffer<Scalar> dpooled;          // (N, Hp)
  AlignedBuffer<Scalar> dx;               // (R, Ip) where it is asked for
  AlignedBuffer<Scalar> head_gradient_panels;

  // Makes x of sequence n of the batch the rows of `values` from begins[n] on, each `columns` wide;
  // returns where they will be packed.
  const Scalar* read_in_place(const Scalar* values, const Index* begins, Index columns) {
    first_rows.clear();
    for (Index n = 0; n < batch.n_sequences(); ++n) {
      first_rows.push_back(values + begins[n] * columns);
    }
    sequences = {first_rows.data(), columns};
    return x.reserve(checked_product(batch.n_rows(), columns));
  }
};

}  // namespace lstmcore
