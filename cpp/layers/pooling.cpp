#include "layers/pooling.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lstmcore {

Pooling pooling_from_name(std::string_view name) {
  if (name == "last") return Pooling::kLast;
  if (name == "mean") return Pooling::kMean;
  if (name == "max") return Pooling::kMax;
  if (name == "attention") return Pooling::kAttention;
  throw std::invalid_argument("pooling is '" + std::string(name) +
                              "'; expected 'last', 'mean', 'max' or 'attention'");
}

namespace {

// NaN is higher than any number.
template <class Scalar>
bool is_higher(Scalar a, Scalar b) {
  return a > b || (a != a && b == b);
}

template <class Scalar>
void last_of(const PackedBatch& batch, const Scalar* history, Index width, Index backward_from,
             Scalar* pooled, Index n) {
  const Scalar* end = history + batch.final_history_row(n) * width;
  const Index first_row = batch.length(n) == 0 ? n : batch.history_row(0) + n;
  const Scalar* start = history + first_row * width;
  std::copy(end, end + backward_from, pooled);
  std::copy(start + backward_from, start + width, pooled + backward_from);
}

// Adds the steps of sequence n, which begins at step `begin`.
template <class Scalar>
void add_to_mean(const PackedBatch& batch, Index begin, const Scalar* history, Index width,
                 Scalar* pooled, Index n) {
  if (begin == 0) std::fill_n(pooled, width, Scalar{0});
  for (Index t = 0; t < batch.length(n); ++t) {
    const Scalar* h = history + (batch.history_row(t) + n) * width;
    for (Index j = 0; j < width; ++j) pooled[j] += h[j];
  }
}

template <class Scalar>
void end_mean(Index length, Index width, Scalar* pooled) {
  const auto divisor = static_cast<Scalar>(std::max<Index>(length, 1));
  for (Index j = 0; j < width; ++j) pooled[j] /= divisor;
}

template <class Scalar>
void add_to_max(const PackedBatch& batch, Index begin, const Scalar* history, Index width,
                Scalar* pooled, std::int32_t* argmax, Index n) {
  if (begin == 0) {
    std::fill_n(pooled, width, Scalar{0});
    std::fill_n(argmax, width, 0);
  }
  for (Index t = 0; t < batch.length(n); ++t) {
    const Scalar* h = history + (batch.history_row(t) + n) * width;
    for (Index j = 0; j < width; ++j) {
      const bool replaces = begin + t == 0 || is_higher(h[j], pooled[j]);
      pooled[j] = replaces ? h[j] : pooled[j];
      argmax[j] = replaces ? static_cast<std::int32_t>(begin + t) : argmax[j];
    }
  }
}

// The gradient of what stands at step `step` of a sequence of that length.
template <class Scalar>
void spread(Pooling pooling, Index length, Index step, const Scalar* dpooled, Index width,
            const std::int32_t* argmax, Scalar* dy) {
  if (pooling == Pooling::kMean) {
    const auto divisor = static_cast<Scalar>(length);
    for (Index j = 0; j < width; ++j) dy[j] = dpooled[j] / divisor;
  } else if (pooling == Pooling::kLast) {
    const bool ends = step + 1 == length;
    for (Index j = 0; j < width; ++j) dy[j] = ends ? dpooled[j] : Scalar{0};
  } else {
    for (Index j = 0; j < width; ++j) dy[j] = argmax[j] == step ? dpooled[j] : Scalar{0};
  }
}

}  // namespace

template <class Scalar>
void pooling_forward(Pooling pooling, const PackedBatch& batch, const Scalar* history, Index width,
                     Index backward_from, Scalar* pooled, std::int32_t* argmax, Index n_begin,
                     Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    Scalar* to = pooled + n * width;
    switch (pooling) {
      case Pooling::kLast:
        last_of(batch, history, width, backward_from, to, n);
        break;
      case Pooling::kMean:
        add_to_mean(batch, 0, history, width, to, n);
        end_mean(batch.length(n), width, to);
        break;
      case Pooling::kMax:
        add_to_max(batch, 0, history, width, to, argmax + n * width, n);
        break;
      case Pooling::kAttention:
        break;
    }
  }
}

template <class Scalar>
void pooling_backward(Pooling pooling, const PackedBatch& batch, const Scalar* dpooled, Index width,
                      Index backward_from, const std::int32_t* argmax, Scalar* dy, Index n_begin,
                      Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const Scalar* from = dpooled + n * width;
    for (Index t = 0; t < batch.length(n); ++t) {
      Scalar* to = dy + (batch.offset(t) + n) * width;
      if (pooling == Pooling::kLast) {
        const bool ends = t + 1 == batch.length(n);
        for (Index j = 0; j < width; ++j) {
          to[j] = (j < backward_from ? ends : t == 0) ? from[j] : Scalar{0};
        }
      } else {
        spread(pooling, batch.length(n), t, from, width, argmax + n * width, to);
      }
    }
  }
}

template <class Scalar>
void pooling_add(Pooling pooling, const BatchWindow& window, const Scalar* history, Index width,
                 Scalar* pooled, std::int32_t* argmax, Index n_begin, Index n_end) noexcept {
  const PackedBatch& batch = window.batch;
  for (Index n = n_begin; n < n_end; ++n) {
    const Index begin = window.begins[static_cast<std::size_t>(n)];
    Scalar* to = pooled + n * width;
    switch (pooling) {
      case Pooling::kLast:
        std::copy_n(history + batch.final_history_row(n) * width, width, to);
        break;
      case Pooling::kMean:
        add_to_mean(batch, begin, history, width, to, n);
        break;
      case Pooling::kMax:
        add_to_max(batch, begin, history, width, to, argmax + n * width, n);
        break;
      case Pooling::kAttention:
        break;
    }
  }
}

template <class Scalar>
void pooling_end(Pooling pooling, const PackedBatch& whole, Index width, Scalar* pooled,
                 Index n_begin, Index n_end) noexcept {
  if (pooling != Pooling::kMean) return;
  for (Index n = n_begin; n < n_end; ++n) end_mean(whole.length(n), width, pooled + n * width);
}

template <class Scalar>
void pooling_backward(Pooling pooling, const PackedBatch& whole, const BatchWindow& window,
                      const Scalar* dpooled, Index width, const std::int32_t* argmax, Scalar* dy,
                      Index n_begin, Index n_end) noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    for (Index t = 0; t < window.batch.length(n); ++t) {
      spread(pooling, whole.length(n), window.begins[static_cast<std::size_t>(n)] + t,
             dpooled + n * width, width, argmax + n * width,
             dy + (window.batch.offset(t) + n) * width);
    }
  }
}

template <class Scalar>
void pooling_step(Pooling pooling, const Scalar* h, Index width, Index n_steps, Scalar* pooled,
                  Scalar* features) noexcept {
  switch (pooling) {
    case Pooling::kLast:
      std::copy_n(h, width, pooled);
      std::copy_n(h, width, features);
      break;
    case Pooling::kMean:
      for (Index j = 0; j < width; ++j) pooled[j] = (n_steps == 1 ? Scalar{0} : pooled[j]) + h[j];
      for (Index j = 0; j < width; ++j) features[j] = pooled[j] / static_cast<Scalar>(n_steps);
      break;
    case Pooling::kMax:
      for (Index j = 0; j < width; ++j) {
        if (n_steps == 1 || is_higher(h[j], pooled[j])) pooled[j] = h[j];
      }
      std::copy_n(pooled, width, features);
      break;
    case Pooling::kAttention:
      break;
  }
}

template void pooling_add(Pooling, const BatchWindow&, const float*, Index, float*, std::int32_t*,
                          Index, Index) noexcept;
template void pooling_end(Pooling, const PackedBatch&, Index, float*, Index, Index) noexcept;
template void pooling_backward(Pooling, const PackedBatch&, const BatchWindow&, const float*, Index,
                               const std::int32_t*, float*, Index, Index) noexcept;
template void pooling_step(Pooling, const float*, Index, Index, float*, float*) noexcept;
template void pooling_add(Pooling, const BatchWindow&, const double*, Index, double*, std::int32_t*,
                          Index, Index) noexcept;
template void pooling_end(Pooling, const PackedBatch&, Index, double*, Index, Index) noexcept;
template void pooling_backward(Pooling, const PackedBatch&, const BatchWindow&, const double*,
                               Index, const std::int32_t*, double*, Index, Index) noexcept;
template void pooling_step(Pooling, const double*, Index, Index, double*, double*) noexcept;
template void pooling_forward(Pooling, const PackedBatch&, const float*, Index, Index, float*,
                              std::int32_t*, Index, Index) noexcept;
template void pooling_forward(Pooling, const PackedBatch&, const double*, Index, Index, double*,
                              std::int32_t*, Index, Index) noexcept;
template void pooling_backward(Pooling, const PackedBatch&, const float*, Index, Index,
                               const std::int32_t*, float*, Index, Index) noexcept;
template void pooling_backward(Pooling, const PackedBatch&, const double*, Index, Index,
                               const std::int32_t*, double*, Index, Index) noexcept;

}  // namespace lstmcore
