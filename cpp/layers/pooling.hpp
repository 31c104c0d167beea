// A ragged sequence of hidden states becomes one vector: its last state, its mean or its maximum,
// or by attention, which has parameters and a file of its own (attention.hpp).
#pragma once

#include <cstdint>
#include <string_view>

#include "layers/batch_window.hpp"

namespace lstmcore {

enum class Pooling : std::uint8_t { kLast, kMean, kMax, kAttention };

// "last", "mean", "max" or "attention"; throws std::invalid_argument for anything else.
Pooling pooling_from_name(std::string_view name);

// All but kAttention, for the sequences [n_begin, n_end). `history` (N + R, width) with the initial
// states first; pooled (N, width). Units from `backward_from` on read from the end to the start:
// the last state of these is that of the first step. An empty sequence pools to its initial state
// (last) or to 0 (mean, max). For kMax, `argmax` (N, width) keeps the step of the first maximum; a
// NaN wins, so that it stays visible.
template <class Scalar>
void pooling_forward(Pooling pooling, const PackedBatch& batch, const Scalar* history, Index width,
                     Index backward_from, Scalar* pooled, std::int32_t* argmax, Index n_begin,
                     Index n_end) noexcept;

// Writes dy (R, width) of these sequences. For kLast most of it is zero; who has a place for the
// gradient of the last state, which is dpooled itself, needs no dy.
template <class Scalar>
void pooling_backward(Pooling pooling, const PackedBatch& batch, const Scalar* dpooled, Index width,
                      Index backward_from, const std::int32_t* argmax, Scalar* dy, Index n_begin,
                      Index n_end) noexcept;

// The same for the windows of `whole` one after the other, but kAttention, `history` and
// dy being those of the window. `pooled` carries the sums and is done after pooling_end; sequences
// that are in no window stay what they were.
template <class Scalar>
void pooling_add(Pooling pooling, const BatchWindow& window, const Scalar* history, Index width,
                 Scalar* pooled, std::int32_t* argmax, Index n_begin, Index n_end) noexcept;
template <class Scalar>
void pooling_end(Pooling pooling, const PackedBatch& whole, Index width, Scalar* pooled,
                 Index n_begin, Index n_end) noexcept;
template <class Scalar>
void pooling_backward(Pooling pooling, const PackedBatch& whole, const BatchWindow& window,
                      const Scalar* dpooled, Index width, const std::int32_t* argmax, Scalar* dy,
                      Index n_begin, Index n_end) noexcept;

// The features (width) of a sequence of `n_steps` steps, at least one, of which h is the last
// state; `pooled` (width) carries what pooling keeps of the steps before, anything at the first.
template <class Scalar>
void pooling_step(Pooling pooling, const Scalar* h, Index width, Index n_steps, Scalar* pooled,
                  Scalar* features) noexcept;

}  // namespace lstmcore
