#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>

namespace lstmcore {
namespace {

template <class Scalar>
double weight_of(const Targets<Scalar>& targets, Index sample) noexcept {
  return targets.weights == nullptr ? 1.0 : targets.weights[sample];
}

}  // namespace

template <class Scalar>
Trainer<Scalar>::Trainer(const NetworkSpec& spec, const Kernels& kernels, Loss loss,
                         double huber_delta, const OptimizerOptions& options,
                         const BpttOptions& bptt)
    : network_(spec, kernels),
      loss_(loss),
      huber_delta_(huber_delta),
      optimizer_(options, kernels.table<Scalar>()),
      bptt_(bptt) {
  gradient_.reserve(n_parameters());
  squared_norm_.reserve(n_parameters());
}

template <class Scalar>
typename Trainer<Scalar>::Batch Trainer<Scalar>::prepare(const BatchSequence<Scalar>& batches,
                                                         Index b, const Targets<Scalar>& targets) {
  const Index* n_active = batches.n_active + batches.step_begin[b];
  const Index n_steps = batches.step_begin[b + 1] - batches.step_begin[b];
  const Index first = batches.sample_begin[b];
  const Index n_sequences = batches.sample_begin[b + 1] - first;
  Batch batch{};
  batch.samples = batches.samples + first;
  for (Index n = 0; n < n_sequences; ++n) batch.weight_sum += weight_of(targets, batch.samples[n]);
  workspace_.batch.assign(n_active, n_steps, n_sequences);
  batch.x = workspace_.read_in_place(batches.values, batches.begins + first, spec().n_columns());
  sample_loss_.resize(static_cast<std::size_t>(n_sequences));
  return batch;
}

template <class Scalar>
typename Trainer<Scalar>::Batch Trainer<Scalar>::prepare_step(const BatchSequence<Scalar>& batches,
                                                              Index b,
                                                              const Targets<Scalar>& targets,
                                                              const TrainingRun& run,
                                                              int n_threads) {
  Batch batch = prepare(batches, b, targets);
  batch.dropout.rate = spec().dropout;
  batch.dropout.key = Dropout::make_key(run.seed, run.epoch);
  batch.dropout.samples = batch.samples;
  network_.reserve_for_gradient(workspace_, batch.dropout, n_threads, bptt_);
  return batch;
}

template <class Scalar>
int Trainer<Scalar>::threads_for(const BatchSequence<Scalar>& batches,
                                 int n_threads) const noexcept {
  Index most_rows = 0;
  for (Index b = 0; b < batches.n_batches; ++b) {
    Index rows = 0;
    for (Index t = batches.step_begin[b]; t < batches.step_begin[b + 1]; ++t) {
      rows += batches.n_active[t];
    }
    most_rows = std::max(most_rows, rows);
  }
  const double products = 3.0 * network_.stack().multiply_adds_per_row();
  return useful_threads(products * static_cast<double>(most_rows), n_threads);
}

template <class Scalar>
void Trainer<Scalar>::compare(const Batch& batch, const Targets<Scalar>& targets, Index n_begin,
                              Index n_end) noexcept {
  const Index K = spec().n_outputs;
  const Index stride = network_.padded_outputs();
  for (Index n = n_begin; n < n_end; ++n) {
    const Index sample = batch.samples[n];
    Target<Scalar> target;
    if (takes_labels()) {
      target.label = targets.labels[sample];
    } else {
      target.values = targets.values + sample * K;
    }
    Scalar* dscores = workspace_.dscores.data() + n * stride;
    std::fill_n(dscores + K, stride - K, Scalar{0});
    sample_loss_[static_cast<std::size_t>(n)] =
        lstmcore::loss_and_gradient(loss_, huber_delta_, workspace_.scores.data() + n * stride, K,
                                    target, weight_of(targets, sample) / batch.weight_sum, dscores);
  }
}

template <class Scalar>
double Trainer<Scalar>::weighted_loss_sum(const Batch& batch,
                                          const Targets<Scalar>& targets) const noexcept {
  double sum = 0;
  for (Index n = 0; n < workspace_.batch.n_sequences(); ++n) {
    sum += weight_of(targets, batch.samples[n]) * sample_loss_[static_cast<std::size_t>(n)];
  }
  return sum;
}

template <class Scalar>
void Trainer<Scalar>::differentiate(const Batch& batch, const Targets<Scalar>& targets,
                                    Scalar* gradient, Workers& workers) {
  network_.differentiate(
      batch.x, batch.dropout, workspace_, gradient, nullptr, workers,
      [&](Index n_begin, Index n_end) { compare(batch, targets, n_begin, n_end); });
}

template <class Scalar>
TrainingSums Trainer<Scalar>::run(Scalar* parameters, Scalar* state,
                                  const BatchSequence<Scalar>& batches,
                                  const Targets<Scalar>& targets, const TrainingRun& run) {
  TrainingSums sums;
  const Index P = n_parameters();
  run_with_workers(threads_for(batches, run.n_threads), [&](Workers& workers) {
    for (Index b = 0; b < batches.n_batches && !sums.interrupted; ++b) {
      const Batch batch = prepare_step(batches, b, targets, run, workers.size());
      network_.pack(parameters, workers);
      differentiate(batch, targets, gradient_.data(), workers);
      const double norm = std::sqrt(squared_norm_(gradient_.data(), P, workers));
      optimizer_.apply(parameters, gradient_.data(), state, P, run.n_steps_done + b + 1,
                       run.learning_rates[b], norm, workers);
      sums.loss += weighted_loss_sum(batch, targets);
      sums.weight += batch.weight_sum;
      sums.gradient_norm_sum += norm;
      sums.gradient_norm_max = std::max(sums.gradient_norm_max, norm);
      sums.n_clipped += optimizer_.clips(norm) ? 1 : 0;
      sums.interrupted = run.interrupted && run.interrupted();
    }
    sums.parameter_norm = std::sqrt(squared_norm_(parameters, P, workers));
  });
  return sums;
}

template <class Scalar>
TrainingSums Trainer<Scalar>::evaluate(const Scalar* parameters,
                                       const BatchSequence<Scalar>& batches,
                                       const Targets<Scalar>& targets, const TrainingRun& run) {
  TrainingSums sums;
  run_with_workers(threads_for(batches, run.n_threads), [&](Workers& workers) {
    network_.pack(parameters, workers);
    for (Index b = 0; b < batches.n_batches && !sums.interrupted; ++b) {
      const Batch batch = prepare(batches, b, targets);
      network_.reserve(workspace_, workers.size());
      workspace_.dscores.reserve(
          checked_product(workspace_.batch.n_sequences(), network_.padded_outputs()));
      network_.forward(batch.x, workspace_, workers, [&](Index n_begin, Index n_end) {
        compare(batch, targets, n_begin, n_end);
      });
      sums.loss += weighted_loss_sum(batch, targets);
      sums.weight += batch.weight_sum;
      sums.interrupted = run.interrupted && run.interrupted();
    }
  });
  return sums;
}

template <class Scalar>
double Trainer<Scalar>::loss_and_gradient(const Scalar* parameters, Scalar* gradient,
                                          const BatchSequence<Scalar>& batches,
                                          const Targets<Scalar>& targets, const TrainingRun& run) {
  const int threads = threads_for(batches, run.n_threads);
  const Batch batch = prepare_step(batches, 0, targets, run, threads);
  run_with_workers(threads, [&](Workers& workers) {
    network_.pack(parameters, workers);
    differentiate(batch, targets, gradient, workers);
  });
  return weighted_loss_sum(batch, targets) / batch.weight_sum;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace lstmcore
