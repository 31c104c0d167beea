// Optimisers over the flat block of parameters, and clipping by the global norm.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/parallel.hpp"
#include "kernels/kernel_table.hpp"

namespace lstmcore {

enum class Solver : std::uint8_t { kAdam, kAdamW, kSgd, kRmsprop };

// Throws std::invalid_argument, naming the solvers there are.
Solver solver_from_name(std::string_view name);

struct OptimizerOptions {
  Solver solver = Solver::kAdam;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double momentum = 0.9;
  double weight_decay = 0.0;
  double max_grad_norm = 0.0;  // infinity: no clipping
};

// The squared Euclidean norm of a gradient, by chunks of fixed size that any thread may sum: the
// bits do not depend on how many threads do. Pascanu, Mikolov, Bengio: On the difficulty of
// training recurrent neural networks (2013) for what the norm is clipped for.
template <class Scalar>
class SquaredNorm {
 public:
  void reserve(Index size) { partial_.resize(static_cast<std::size_t>(ceil_div(size, kChunk))); }
  double operator()(const Scalar* gradient, Index size, Workers& workers) noexcept;

 private:
  static constexpr Index kChunk = 4096;
  std::vector<double> partial_;
};

template <class Scalar>
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, const KernelTable<Scalar>& kernels);

  // Rows of state, each as long as the parameters, zeros at first.
  Index n_state() const noexcept;

  // Whether a gradient of this norm is scaled down.
  bool clips(double norm) const noexcept { return norm + kClipSlack > options_.max_grad_norm; }

  // Step number `step`, counted from 1. `norm` is that of the gradient.
  void apply(Scalar* parameters, const Scalar* gradient, Scalar* state, Index size,
             std::int64_t step, double learning_rate, double norm, Workers& workers) const noexcept;

 private:
  static constexpr double kClipSlack = 1e-6;  // added to the norm, as torch does

  OptimizerOptions options_;
  const KernelTable<Scalar>* kernels_;
};

}  // namespace lstmcore
