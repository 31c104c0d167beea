#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace lstmcore {

Solver solver_from_name(std::string_view name) {
  if (name == "adam") return Solver::kAdam;
  if (name == "adamw") return Solver::kAdamW;
  if (name == "sgd") return Solver::kSgd;
  if (name == "rmsprop") return Solver::kRmsprop;
  throw std::invalid_argument("solver is '" + std::string(name) +
                              "'; expected 'adam', 'adamw', 'sgd' or 'rmsprop'");
}

namespace {

// Sixteen running sums, folded in halves: the same order whatever the vector length.
template <class Scalar>
double sum_of_squares(const Scalar* values, Index size) noexcept {
  constexpr Index kLanes = 16;
  double lane[kLanes] = {};
  Index j = 0;
  for (; j + kLanes <= size; j += kLanes) {
    for (Index l = 0; l < kLanes; ++l) {
      lane[l] += static_cast<double>(values[j + l]) * static_cast<double>(values[j + l]);
    }
  }
  for (Index l = 0; j + l < size; ++l) {
    lane[l] += static_cast<double>(values[j + l]) * static_cast<double>(values[j + l]);
  }
  for (Index half = kLanes / 2; half > 0; half /= 2) {
    for (Index l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

constexpr double kMeanSquareDecay = 0.99;  // RMSprop's alpha, the customary one

// beta^step by squaring: std::pow differs from one processor to the next.
double power(double beta, std::int64_t step) noexcept {
  double result = 1.0;
  for (; step > 0; step /= 2, beta *= beta) {
    if (step % 2 == 1) result *= beta;
  }
  return result;
}

}  // namespace

template <class Scalar>
double SquaredNorm<Scalar>::operator()(const Scalar* gradient, Index size,
                                       Workers& workers) noexcept {
  workers.each_range(ceil_div(size, kChunk), 4, [&](Index begin, Index end) {
    for (Index chunk = begin; chunk < end; ++chunk) {
      const Index first = chunk * kChunk;
      partial_[static_cast<std::size_t>(chunk)] =
          sum_of_squares(gradient + first, std::min(kChunk, size - first));
    }
  });
  double sum = 0;
  for (const double part : partial_) sum += part;
  return sum;
}

template <class Scalar>
Optimizer<Scalar>::Optimizer(const OptimizerOptions& options, const KernelTable<Scalar>& kernels)
    : options_(options), kernels_(&kernels) {}

template <class Scalar>
Index Optimizer<Scalar>::n_state() const noexcept {
  return options_.solver == Solver::kAdam || options_.solver == Solver::kAdamW ? 2 : 1;
}

template <class Scalar>
void Optimizer<Scalar>::apply(Scalar* parameters, const Scalar* gradient, Scalar* state, Index size,
                              std::int64_t step, double learning_rate, double norm,
                              Workers& workers) const noexcept {
  const bool decoupled = options_.solver == Solver::kAdamW;
  OptimizerStep<Scalar> s{};
  s.scale = static_cast<Scalar>(std::min(1.0, options_.max_grad_norm / (norm + kClipSlack)));
  if (norm != norm) s.scale = static_cast<Scalar>(norm);  // a NaN stays one
  s.epsilon = static_cast<Scalar>(options_.epsilon);
  s.weight_decay = static_cast<Scalar>(decoupled ? 0.0 : options_.weight_decay);
  s.decoupled_decay = static_cast<Scalar>(decoupled ? learning_rate * options_.weight_decay : 0.0);
  s.learning_rate = static_cast<Scalar>(learning_rate);
  void (*kernel)(const OptimizerStep<Scalar>&) noexcept = kernels_->adam;
  switch (options_.solver) {
    case Solver::kAdam:
    case Solver::kAdamW:
      s.beta1 = static_cast<Scalar>(options_.beta1);
      s.beta2 = static_cast<Scalar>(options_.beta2);
      s.one_minus_beta1 = static_cast<Scalar>(1.0 - options_.beta1);
      s.one_minus_beta2 = static_cast<Scalar>(1.0 - options_.beta2);
      s.learning_rate = static_cast<Scalar>(learning_rate / (1.0 - power(options_.beta1, step)));
      s.inverse_sqrt_correction =
          static_cast<Scalar>(1.0 / std::sqrt(1.0 - power(options_.beta2, step)));
      break;
    case Solver::kSgd:
      s.beta1 = static_cast<Scalar>(options_.momentum);
      kernel = kernels_->sgd;
      break;
    case Solver::kRmsprop:
      s.beta1 = static_cast<Scalar>(kMeanSquareDecay);
      s.one_minus_beta1 = static_cast<Scalar>(1.0 - kMeanSquareDecay);
      kernel = kernels_->rmsprop;
      break;
  }
  constexpr Index kGrain = 4096;  // elements that are worth a second thread
  workers.each_range(size, kGrain, [&](Index begin, Index end) {
    OptimizerStep<Scalar> part = s;
    part.size = end - begin;
    part.parameters = parameters + begin;
    part.gradient = gradient + begin;
    part.moment1 = state + begin;
    part.moment2 = n_state() == 2 ? state + size + begin : nullptr;
    kernel(part);
  });
}

template class SquaredNorm<float>;
template class SquaredNorm<double>;
template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace lstmcore
