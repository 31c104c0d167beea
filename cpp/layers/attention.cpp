#include "layers/attention.hpp"

#include <algorithm>

#include "base/portable_math.hpp"

namespace lstmcore {
namespace {

// In B lanes and then pairwise, whatever the instruction set; size is a multiple of B.
template <class Scalar>
Scalar dot(const Scalar* a, const Scalar* b, Index size) noexcept {
  constexpr Index B = kBlock<Scalar>;
  Scalar lanes[B] = {};
  for (Index k = 0; k < size; k += B) {
    for (Index j = 0; j < B; ++j) lanes[j] += a[k + j] * b[k + j];
  }
  for (Index half = B / 2; half > 0; half /= 2) {
    for (Index j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

template <class Scalar>
Scalar exp_of(Scalar difference) noexcept {
  return static_cast<Scalar>(portable::exp(difference));
}

// One more step of Σ exp(e_t − highest) h_t and of sums = {highest, Σ exp(e_t − highest)}.
template <class Scalar>
void add_step(Scalar score, const Scalar* h, Index size, bool is_first, Scalar* sums,
              Scalar* weighted) noexcept {
  if (is_first) {
    sums[0] = score;
    sums[1] = 1;
    std::copy_n(h, size, weighted);
  } else if (score > sums[0]) {
    const Scalar shrink = exp_of(sums[0] - score);
    sums[0] = score;
    sums[1] = sums[1] * shrink + 1;
    for (Index j = 0; j < size; ++j) weighted[j] = weighted[j] * shrink + h[j];
  } else {
    const Scalar factor = exp_of(score - sums[0]);
    sums[1] += factor;
    for (Index j = 0; j < size; ++j) weighted[j] += factor * h[j];
  }
}

}  // namespace

template <class Scalar>
Attention<Scalar>::Attention(Index n_features, const KernelTable<Scalar>& kernels)
    : n_features_(n_features), projection_(n_features, n_features, kernels), kernels_(&kernels) {}

template <class Scalar>
void Attention<Scalar>::reserve_panels() {
  projection_.reserve_panels();
  query_.reserve_zeroed(width());
}

template <class Scalar>
void Attention<Scalar>::pack(const Scalar* parameters) noexcept {
  projection_.pack(parameters);
  std::copy_n(parameters + projection_.n_parameters(), n_features_, query_.data());
}

template <class Scalar>
void Attention<Scalar>::reserve_sequences(AttentionWorkspace<Scalar>& w, Index n_sequences) const {
  w.sums.reserve(checked_product(n_sequences, kCarried));
  w.pooled.reserve(checked_product(n_sequences, width()));
}

template <class Scalar>
void Attention<Scalar>::reserve_rows(AttentionWorkspace<Scalar>& w, Index rows) const {
  w.hidden.reserve(checked_product(rows, width()));
  w.scores.reserve(rows);
  w.dscores.reserve(rows);
}

template <class Scalar>
void Attention<Scalar>::score_rows(const Scalar* h, Index rows, Scalar* hidden,
                                   Scalar* scores) const noexcept {
  projection_.forward(h, hidden, rows);
  kernels_->tanh(hidden, hidden, rows * width());
  for (Index r = 0; r < rows; ++r) scores[r] = dot(query_.data(), hidden + r * width(), width());
}

template <class Scalar>
void Attention<Scalar>::score(const PackedBatch& batch, const Scalar* h,
                              AttentionWorkspace<Scalar>& w, Index n_begin,
                              Index n_end) const noexcept {
  const auto score = [&](Index row, Index rows) {
    score_rows(h + row * width(), rows, w.hidden.data() + row * width(), w.scores.data() + row);
  };
  if (n_begin == 0 && n_end == batch.n_sequences()) {
    if (batch.n_rows() > 0) score(0, batch.n_rows());
    return;
  }
  for (Index t = 0; t < batch.n_steps() && batch.n_active(t) > n_begin; ++t) {
    score(batch.offset(t) + n_begin, std::min(n_end, batch.n_active(t)) - n_begin);
  }
}

template <class Scalar>
void Attention<Scalar>::add(const PackedBatch& batch, const Index* begins, const Scalar* h,
                            AttentionWorkspace<Scalar>& w, Scalar* pooled, Index n_begin,
                            Index n_end) const noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const bool begins_here = begins == nullptr || begins[n] == 0;
    for (Index t = 0; t < batch.length(n); ++t) {
      const Index row = batch.offset(t) + n;
      add_step(w.scores.data()[row], h + row * width(), width(), begins_here && t == 0,
               w.sums.data() + n * kCarried, pooled + n * width());
    }
  }
}

template <class Scalar>
void Attention<Scalar>::end(const PackedBatch& whole, AttentionWorkspace<Scalar>& w, Scalar* pooled,
                            Index n_begin, Index n_end) const noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    Scalar* to = pooled + n * width();
    if (whole.length(n) > 0) {
      const Scalar sum = w.sums.data()[n * kCarried + 1];
      for (Index j = 0; j < width(); ++j) to[j] /= sum;
    }
    std::copy_n(to, width(), w.pooled.data() + n * width());
  }
}

template <class Scalar>
void Attention<Scalar>::forward(const PackedBatch& batch, const Scalar* h,
                                AttentionWorkspace<Scalar>& w, Scalar* pooled, Index n_begin,
                                Index n_end) const noexcept {
  score(batch, h, w, n_begin, n_end);
  std::fill(pooled + n_begin * width(), pooled + n_end * width(), Scalar{0});
  add(batch, nullptr, h, w, pooled, n_begin, n_end);
  end(batch, w, pooled, n_begin, n_end);
}

template <class Scalar>
void Attention<Scalar>::get_weights(const PackedBatch& batch, const AttentionWorkspace<Scalar>& w,
                                    Scalar* weights, Index n_begin, Index n_end) const noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const Scalar* sums = w.sums.data() + n * kCarried;
    for (Index t = 0; t < batch.length(n); ++t) {
      weights[batch.whole_row(t) + n] =
          exp_of(w.scores.data()[batch.offset(t) + n] - sums[0]) / sums[1];
    }
  }
}

template <class Scalar>
void Attention<Scalar>::step(const Scalar* h, Index n_steps, Scalar* u, Scalar* carried,
                             Scalar* features) const noexcept {
  Scalar score = 0;
  score_rows(h, 1, u, &score);
  Scalar* sums = carried + n_features_;
  add_step(score, h, n_features_, n_steps == 1, sums, carried);
  for (Index j = 0; j < n_features_; ++j) features[j] = carried[j] / sums[1];
}

template <class Scalar>
void Attention<Scalar>::steps(const Scalar* h, Index n, Index n_steps,
                              AttentionWorkspace<Scalar>& w, Scalar* carried) const noexcept {
  score_rows(h, n, w.hidden.data(), w.scores.data());
  for (Index t = 0; t < n; ++t) {
    add_step(w.scores.data()[t], h + t * width(), n_features_, n_steps + t == 0,
             carried + n_features_, carried);
  }
}

template <class Scalar>
void Attention<Scalar>::backward(const PackedBatch& batch, const Scalar* h, const Scalar* dpooled,
                                 AttentionWorkspace<Scalar>& w, Scalar* dy, Index n_begin,
                                 Index n_end) const noexcept {
  for (Index n = n_begin; n < n_end; ++n) {
    const Scalar* from = dpooled + n * width();
    const Scalar* sums = w.sums.data() + n * kCarried;
    const Scalar mean = dot(from, w.pooled.data() + n * width(), width());
    for (Index t = 0; t < batch.length(n); ++t) {
      const Index row = batch.offset(t) + n;
      const Scalar weight = exp_of(w.scores.data()[row] - sums[0]) / sums[1];
      w.dscores.data()[row] = weight * (dot(from, h + row * width(), width()) - mean);
      Scalar* to = dy + row * width();
      for (Index j = 0; j < width(); ++j) to[j] = weight * from[j];
    }
  }
}

namespace {

// body(first row, number of rows) for the runs of BPTT, the last one first.
template <class Body>
void each_run_of_steps(const PackedBatch& batch, Index rows_of_run, Body&& body) {
  for (Index t_end = batch.n_steps(); t_end > 0;) {
    const Steps steps = batch.steps_before(t_end, rows_of_run);
    const Index row = batch.offset(steps.begin);
    body(row, batch.row_end(steps.end - 1) - row);
    t_end = steps.begin;
  }
}

}  // namespace

template <class Scalar>
void Attention<Scalar>::query_gradient(const PackedBatch& batch, Index rows_of_run,
                                       const AttentionWorkspace<Scalar>& w, Scalar* gradient,
                                       Workers& workers) const noexcept {
  workers.each_range(width() / B, 4, [&](Index begin, Index end) {
    OuterAccumulate<Scalar> product{};
    product.a_row_stride = 1;
    product.k_end = 1;
    product.n_panels = 1;
    product.b_row_stride = width();
    each_run_of_steps(batch, rows_of_run, [&](Index row, Index rows) {
      product.rows = rows;
      product.a = w.dscores.data() + row;
      for (Index block = begin; block < end; block += 4) {
        product.b = w.hidden.data() + row * width() + block * B;
        product.n_blocks = std::min<Index>(4, end - block);
        product.c = gradient + block * B;
        kernels_->outer_accumulate(product);
      }
    });
  });
}

template <class Scalar>
void Attention<Scalar>::finish_backward(const PackedBatch& batch, const Scalar* h,
                                        Index rows_of_run, AttentionWorkspace<Scalar>& w,
                                        Scalar* dy, Scalar* sums, Workers& workers) const noexcept {
  constexpr Index kRows = 32;     // a few tiles for each thread
  constexpr Index kColumns = 24;  // likewise
  Scalar* hidden = w.hidden.data();
  if (sums != nullptr) {
    query_gradient(batch, rows_of_run, w, sums + projection_.gradient_panel_size(), workers);
  }
  workers.each_range(batch.n_rows(), kRows, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const Scalar dscore = w.dscores.data()[r];
      Scalar* u = hidden + r * width();
      for (Index j = 0; j < width(); ++j) u[j] = dscore * query_.data()[j] * (1 - u[j] * u[j]);
    }
    projection_.backward(hidden + begin * width(), dy + begin * width(), end - begin, true);
  });
  if (sums == nullptr) return;
  workers.each_range(n_features_ + 1, kColumns, [&](Index begin, Index end) {
    each_run_of_steps(batch, rows_of_run, [&](Index row, Index rows) {
      projection_.add_gradient_columns(h + row * width(), hidden + row * width(), rows, sums, begin,
                                       end);
    });
  });
}

template <class Scalar>
void Attention<Scalar>::get_gradient(const std::vector<Scalar*>& parts, Scalar* gradient,
                                     Workers& workers) const noexcept {
  constexpr Index kElements = 1024;
  Scalar* sum = parts.front();
  workers.each_range(gradient_size(), kElements, [&](Index begin, Index end) {
    for (std::size_t i = 1; i < parts.size(); ++i) {
      for (Index k = begin; k < end; ++k) sum[k] += parts[i][k];
    }
  });
  projection_.unpack_gradient(sum, gradient);
  std::copy_n(sum + projection_.gradient_panel_size(), n_features_,
              gradient + projection_.n_parameters());
}

template class Attention<float>;
template class Attention<double>;

}  // namespace lstmcore
