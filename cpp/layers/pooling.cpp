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

template <class Scalar>
void mean_of(const PackedBatch& batch, const Scalar* history, Index width, Scalar* pooled,
             Index n) {
  std::fill_n(pooled, width, Scalar{0});
  for (Index t = 0; t < batch.length(n); ++t) {
    const Scalar* h = history + (batch.history_row(t) + n) * width;
    for (Index j = 0; j < width; ++j) pooled[j] += h[j];
  }
  const auto length = static_cast<Scalar>(std::max<Index>(batch.length(n), 1));
  for (Index j = 0; j < width; ++j) pooled[j] /= length;
}

template <class Scalar>
void max_of(const PackedBatch& batch, const Scalar* history, Index width, Scalar* pooled,
            std::int32_t* argmax, Index n) {
  std::fill_n(pooled, width, Scalar{0});
  std::fill_n(argmax, width, 0);
  for (Index t = 0; t < batch.length(n); ++t) {
    const Scalar* h = history + (batch.history_row(t) + n) * width;
    for (Index j = 0; j < width; ++j) {
      const bool replaces = t == 0 || is_higher(h[j], pooled[j]);
      pooled[j] = replaces ? h[j] : pooled[j];
      argmax[j] = replaces ? static_cast<std::int32_t>(t) : argmax[j];
    }
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
        mean_of(batch, history, width, to, n);
        break;
      case Pooling::kMax:
        max_of(batch, history, width, to, argmax + n * width, n);
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
    const auto length = static_cast<Scalar>(batch.length(n));
    for (Index t = 0; t < batch.length(n); ++t) {
      Scalar* to = dy + (batch.offset(t) + n) * width;
      if (pooling == Pooling::kLast) {
        const bool ends = t + 1 == batch.length(n);
        for (Index j = 0; j < width; ++j) {
          to[j] = (j < backward_from ? ends : t == 0) ? from[j] : Scalar{0};
        }
      } else if (pooling == Pooling::kMean) {
        for (Index j = 0; j < width; ++j) to[j] = from[j] / length;
      } else {
        const std::int32_t* step = argmax + n * width;
        for (Index j = 0; j < width; ++j) to[j] = step[j] == t ? from[j] : Scalar{0};
      }
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

template void pooling_step(Pooling, const float*, Index, Index, float*, float*) noexcept;
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
