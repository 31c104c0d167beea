#include "train/loss.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "base/portable_math.hpp"

namespace lstmcore {

Loss loss_from_name(std::string_view name) {
  if (name == "softmax_cross_entropy") return Loss::kSoftmaxCrossEntropy;
  if (name == "sigmoid_cross_entropy") return Loss::kSigmoidCrossEntropy;
  if (name == "squared_error") return Loss::kSquaredError;
  if (name == "huber") return Loss::kHuber;
  throw std::invalid_argument("loss is '" + std::string(name) +
                              "'; expected 'softmax_cross_entropy', 'sigmoid_cross_entropy', "
                              "'squared_error' or 'huber'");
}

namespace {

template <class Scalar>
double softmax_cross_entropy(const Scalar* scores, Index K, Index label, double weight,
                             Scalar* dscores) noexcept {
  const double highest = *std::max_element(scores, scores + K);
  double sum = 0;
  for (Index k = 0; k < K; ++k) sum += portable::exp(scores[k] - highest);
  for (Index k = 0; k < K; ++k) {
    const double probability = portable::exp(scores[k] - highest) / sum;
    dscores[k] = static_cast<Scalar>(weight * (probability - (k == label ? 1.0 : 0.0)));
  }
  return portable::log(sum) - (scores[label] - highest);
}

struct Term {
  double loss;
  double gradient;
};

Term sigmoid_cross_entropy(double z, double y) noexcept {
  return {std::max(z, 0.0) - z * y + portable::log1p(portable::exp(-std::abs(z))),
          portable::sigmoid(z) - y};
}

Term squared_error(double z, double y) noexcept { return {(z - y) * (z - y), 2.0 * (z - y)}; }

Term huber(double z, double y, double delta) noexcept {
  const double error = z - y;
  if (std::abs(error) > delta) {
    return {delta * (std::abs(error) - 0.5 * delta), std::copysign(delta, error)};
  }
  return {0.5 * error * error, error};
}

}  // namespace

template <class Scalar>
double loss_and_gradient(Loss loss, double huber_delta, const Scalar* scores, Index n_outputs,
                         const Target<Scalar>& target, double weight, Scalar* dscores) noexcept {
  if (loss == Loss::kSoftmaxCrossEntropy) {
    return softmax_cross_entropy(scores, n_outputs, target.label, weight, dscores);
  }
  const auto K = static_cast<double>(n_outputs);
  double sum = 0;
  for (Index k = 0; k < n_outputs; ++k) {
    const double z = scores[k];
    const double y = target.values[k];
    const Term term = loss == Loss::kSigmoidCrossEntropy ? sigmoid_cross_entropy(z, y)
                      : loss == Loss::kSquaredError      ? squared_error(z, y)
                                                         : huber(z, y, huber_delta);
    sum += term.loss;
    dscores[k] = static_cast<Scalar>(weight * term.gradient / K);
  }
  return sum / K;
}

template double loss_and_gradient(Loss, double, const float*, Index, const Target<float>&, double,
                                  float*) noexcept;
template double loss_and_gradient(Loss, double, const double*, Index, const Target<double>&, double,
                                  double*) noexcept;

}  // namespace lstmcore
