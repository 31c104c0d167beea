// The training loop: batches in, parameters and optimiser state updated in place.
#pragma once

#include <functional>

#include "network/network.hpp"
#include "train/loss.hpp"
#include "train/optimizer.hpp"

namespace lstmcore {

// Several batches, as views. Batch b has the steps n_active[step_begin[b] .. step_begin[b + 1]) and
// the sequences samples[sample_begin[b] .. sample_begin[b + 1]), dataset indices in packed order,
// whose rows lie one after the other, from begins[..] on.
template <class Scalar>
struct BatchSequence {
  Index n_batches;
  const Scalar* values;  // (rows of the dataset, I)
  const Index* begins;
  const Index* n_active;
  const Index* step_begin;
  const Index* samples;
  const Index* sample_begin;
};

// What the samples of the dataset should give: labels (n) for softmax, else values (n, K).
template <class Scalar>
struct Targets {
  const Index* labels;
  const Scalar* values;
  const double* weights;  // (n) or null: all 1
};

struct TrainingRun {
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;
  std::int64_t n_steps_done = 0;
  const double* learning_rates = nullptr;  // one for each batch
  int n_threads = 1;
  std::function<bool()> interrupted;  // asked after every batch
};

// What happened in a run. Sums over the samples seen: weighted losses, and weights. Norms are
// Euclidean: of the gradients before they are clipped, and of all parameters at the end.
struct TrainingSums {
  double loss = 0;
  double weight = 0;
  double gradient_norm_sum = 0;
  double gradient_norm_max = 0;
  Index n_clipped = 0;
  double parameter_norm = 0;
  bool interrupted = false;
};

template <class Scalar>
class Trainer {
 public:
  Trainer(const NetworkSpec& spec, const Kernels& kernels, Loss loss, double huber_delta,
          const OptimizerOptions& options, const BpttOptions& bptt = {});

  Index n_parameters() const noexcept { return network_.n_parameters(); }
  Index n_state() const noexcept { return optimizer_.n_state(); }
  const NetworkSpec& spec() const noexcept { return network_.spec(); }
  const Network<Scalar>& network() const noexcept { return network_; }
  bool takes_labels() const noexcept { return loss_ == Loss::kSoftmaxCrossEntropy; }

  // One optimiser step per batch.
  TrainingSums run(Scalar* parameters, Scalar* state, const BatchSequence<Scalar>& batches,
                   const Targets<Scalar>& targets, const TrainingRun& run);
  // Sums over the batches as the network predicts: without a step, and without dropout.
  TrainingSums evaluate(const Scalar* parameters, const BatchSequence<Scalar>& batches,
                        const Targets<Scalar>& targets, const TrainingRun& run);
  // The mean loss of the first batch and its gradient, without a step.
  double loss_and_gradient(const Scalar* parameters, Scalar* gradient,
                           const BatchSequence<Scalar>& batches, const Targets<Scalar>& targets,
                           const TrainingRun& run);

 private:
  struct Batch {
    const Scalar* x;
    const Index* samples;
    double weight_sum;
    Dropout dropout;
  };
  Batch prepare(const BatchSequence<Scalar>& batches, Index b, const Targets<Scalar>& targets);
  // The same, with dropout and memory for BPTT.
  Batch prepare_step(const BatchSequence<Scalar>& batches, Index b, const Targets<Scalar>& targets,
                     const TrainingRun& run, int n_threads);
  // The threads that the largest of the batches can use.
  int threads_for(const BatchSequence<Scalar>& batches, int n_threads) const noexcept;
  // The gradient of the prepared batch.
  void differentiate(const Batch& batch, const Targets<Scalar>& targets, Scalar* gradient,
                     Workers& workers);
  // From scores to their gradients, for some sequences of the batch.
  void compare(const Batch& batch, const Targets<Scalar>& targets, Index n_begin,
               Index n_end) noexcept;
  double weighted_loss_sum(const Batch& batch, const Targets<Scalar>& targets) const noexcept;

  Network<Scalar> network_;
  Loss loss_;
  double huber_delta_;
  Optimizer<Scalar> optimizer_;
  BpttOptions bptt_;
  NetworkWorkspace<Scalar> workspace_;
  AlignedBuffer<Scalar> gradient_;
  std::vector<double> sample_loss_;  // (N) in packed order
  SquaredNorm<Scalar> squared_norm_;
};

}  // namespace lstmcore
