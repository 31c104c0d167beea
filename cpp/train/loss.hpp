// Losses of one sample from its raw scores, and their gradients. The mean is over the K outputs.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/index.hpp"

namespace lstmcore {

enum class Loss : std::uint8_t {
  kSoftmaxCrossEntropy,  // -log softmax(z)[class]
  kSigmoidCrossEntropy,  // mean of -y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))
  kSquaredError,         // mean of (z - y)^2
  kHuber,                // mean of e^2 / 2 if |e| <= delta, else delta (|e| - delta / 2)
};

// Throws std::invalid_argument, naming the losses there are.
Loss loss_from_name(std::string_view name);

// What the loss compares the scores with: a class, or K numbers.
template <class Scalar>
struct Target {
  Index label = 0;
  const Scalar* values = nullptr;
};

// The loss of one sample; dscores (K) becomes its gradient times `weight`. The values between are
// computed in double precision.
template <class Scalar>
double loss_and_gradient(Loss loss, double huber_delta, const Scalar* scores, Index n_outputs,
                         const Target<Scalar>& target, double weight, Scalar* dscores) noexcept;

}  // namespace lstmcore
