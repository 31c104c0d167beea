// TrainerFloat32, TrainerFloat64.

#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "bind.hpp"
#include "train/trainer.hpp"

namespace lstmcore::binding {
namespace {

// The views of a run and the arrays that own what they see.
template <class Scalar>
struct RunArguments {
  std::vector<py::array> owners;
  BatchSequence<Scalar> batches{};
  Targets<Scalar> targets{};

  template <class T>
  Array<T> keep(Array<T> array) {
    owners.push_back(array);
    return array;
  }
};

// Begins at 0, never decreases, ends at `total`.
void require_partition(const Array<Index>& pointers, const char* name, Index total) {
  const Index* p = pointers.data();
  const Index size = pointers.size();
  bool good = size >= 1 && p[0] == 0 && p[size - 1] == total;
  for (Index b = 1; good && b < size; ++b) good = p[b - 1] <= p[b];
  if (!good) {
    throw std::invalid_argument(std::string(name) + " must run from 0 to " + std::to_string(total) +
                                " without decreasing");
  }
}

template <class Scalar>
void read_targets(RunArguments<Scalar>& args, const Trainer<Scalar>& trainer,
                  const py::object& targets, const py::object& sample_weight) {
  Index n_samples = 0;
  if (trainer.takes_labels()) {
    const auto labels = args.keep(as_array<Index>(targets, "targets", {-1}));
    n_samples = labels.size();
    const Index K = trainer.spec().n_outputs;
    if (std::any_of(labels.data(), labels.data() + n_samples,
                    [K](Index label) { return label < 0 || label >= K; })) {
      throw std::invalid_argument("targets must be labels from 0 to " + std::to_string(K - 1));
    }
    args.targets.labels = labels.data();
  } else {
    const auto values =
        args.keep(as_array<Scalar>(targets, "targets", {-1, trainer.spec().n_outputs}));
    n_samples = values.shape(0);
    args.targets.values = values.data();
  }
  if (!sample_weight.is_none()) {
    args.targets.weights =
        args.keep(as_array<double>(sample_weight, "sample_weight", {n_samples})).data();
  }
  const Index* samples = args.batches.samples;
  const Index n_used = args.batches.sample_begin[args.batches.n_batches];
  if (std::any_of(samples, samples + n_used,
                  [n_samples](Index s) { return s < 0 || s >= n_samples; })) {
    throw std::invalid_argument("samples must be indices of the " + std::to_string(n_samples) +
                                " targets");
  }
}

template <class Scalar>
RunArguments<Scalar> read_arguments(const Trainer<Scalar>& trainer, const py::tuple& batches,
                                    const py::object& targets, const py::object& sample_weight) {
  if (batches.size() != 6) {
    throw std::invalid_argument(
        "batches must be (values, begins, n_active, step_ptr, samples, sample_ptr), got " +
        std::to_string(batches.size()) + " items");
  }
  RunArguments<Scalar> args;
  const Index columns = trainer.spec().n_columns();
  const auto values = args.keep(as_array<Scalar>(batches[0], "values", {-1, columns}));
  const auto begins = args.keep(as_array<Index>(batches[1], "begins", {-1}));
  const auto n_active = args.keep(as_array<Index>(batches[2], "n_active", {-1}));
  const auto step_ptr = args.keep(as_array<Index>(batches[3], "step_ptr", {-1}));
  const auto samples = args.keep(as_array<Index>(batches[4], "samples", {begins.size()}));
  const auto sample_ptr = args.keep(as_array<Index>(batches[5], "sample_ptr", {step_ptr.size()}));
  require_partition(step_ptr, "step_ptr", n_active.size());
  require_partition(sample_ptr, "sample_ptr", samples.size());
  args.batches = {step_ptr.size() - 1, values.data(),  begins.data(),    n_active.data(),
                  step_ptr.data(),     samples.data(), sample_ptr.data()};
  PackedBatch batch;
  for (Index b = 0; b < args.batches.n_batches; ++b) {  // checks every batch before any is used
    const Index first = sample_ptr.data()[b];
    batch.assign(n_active.data() + step_ptr.data()[b], step_ptr.data()[b + 1] - step_ptr.data()[b],
                 sample_ptr.data()[b + 1] - first);
    for (Index n = 0; n < batch.n_sequences(); ++n) {
      require_rows(trainer.network(), values, "values", begins.data()[first + n], batch.length(n));
    }
  }
  read_targets(args, trainer, targets, sample_weight);
  return args;
}

bool signal_is_pending() {
  const py::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

// One number for all batches, or an array of one for each.
std::vector<double> read_learning_rates(const py::object& learning_rate, Index n_batches) {
  if (py::isinstance<py::array>(learning_rate)) {
    const auto rates = as_array<double>(learning_rate, "learning_rate", {n_batches});
    return {rates.data(), rates.data() + n_batches};
  }
  return std::vector<double>(static_cast<std::size_t>(n_batches),
                             static_cast<double>(py::float_(learning_rate)));
}

template <class Scalar>
py::dict run(Trainer<Scalar>& trainer, const py::object& parameters_object,
             const py::object& state_object, std::int64_t n_steps_done, const py::tuple& batches,
             const py::object& targets, const py::object& sample_weight, std::uint64_t seed,
             std::uint64_t epoch, const py::object& learning_rate, int n_threads) {
  require_threads(n_threads);
  const Index P = trainer.n_parameters();
  auto parameters = as_output<Scalar>(parameters_object, "parameters", {P});
  auto state = as_output<Scalar>(state_object, "state", {trainer.n_state(), P});
  const RunArguments<Scalar> args = read_arguments(trainer, batches, targets, sample_weight);
  const std::vector<double> rates = read_learning_rates(learning_rate, args.batches.n_batches);
  const TrainingRun options{seed, epoch, n_steps_done, rates.data(), n_threads, signal_is_pending};
  Scalar* p = parameters.mutable_data();
  Scalar* s = state.mutable_data();
  TrainingSums sums;
  {
    const py::gil_scoped_release release;
    sums = trainer.run(p, s, args.batches, args.targets, options);
  }
  if (sums.interrupted) throw py::error_already_set();
  py::dict result;
  result["loss"] = sums.loss;
  result["weight"] = sums.weight;
  result["gradient_norm_sum"] = sums.gradient_norm_sum;
  result["gradient_norm_max"] = sums.gradient_norm_max;
  result["n_clipped"] = sums.n_clipped;
  result["parameter_norm"] = sums.parameter_norm;
  return result;
}

template <class Scalar>
py::tuple evaluate(Trainer<Scalar>& trainer, const py::object& parameters_object,
                   const py::tuple& batches, const py::object& targets,
                   const py::object& sample_weight, int n_threads) {
  require_threads(n_threads);
  const auto parameters =
      as_array<Scalar>(parameters_object, "parameters", {trainer.n_parameters()});
  const RunArguments<Scalar> args = read_arguments(trainer, batches, targets, sample_weight);
  TrainingRun options;
  options.n_threads = n_threads;
  options.interrupted = signal_is_pending;
  const Scalar* p = parameters.data();
  TrainingSums sums;
  {
    const py::gil_scoped_release release;
    sums = trainer.evaluate(p, args.batches, args.targets, options);
  }
  if (sums.interrupted) throw py::error_already_set();
  return py::make_tuple(sums.loss, sums.weight);
}

template <class Scalar>
py::tuple loss_and_gradient(Trainer<Scalar>& trainer, const py::object& parameters_object,
                            const py::tuple& batches, const py::object& targets,
                            const py::object& sample_weight, std::uint64_t seed,
                            std::uint64_t epoch, int n_threads) {
  require_threads(n_threads);
  const Index P = trainer.n_parameters();
  const auto parameters = as_array<Scalar>(parameters_object, "parameters", {P});
  const RunArguments<Scalar> args = read_arguments(trainer, batches, targets, sample_weight);
  if (args.batches.n_batches != 1) {
    throw std::invalid_argument("batches must hold exactly one batch, got " +
                                std::to_string(args.batches.n_batches));
  }
  auto gradient = new_array<Scalar>({P});
  const TrainingRun options{seed, epoch, 0, nullptr, n_threads, nullptr};
  const Scalar* p = parameters.data();
  Scalar* g = gradient.mutable_data();
  double loss = 0;
  {
    const py::gil_scoped_release release;
    loss = trainer.loss_and_gradient(p, g, args.batches, args.targets, options);
  }
  return py::make_tuple(loss, gradient);
}

void require(bool good, const char* name, double value, const char* expected) {
  if (!good) {
    throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + ", expected " +
                                expected);
  }
}

template <class Scalar>
void bind_trainer_class(py::module_& module, const char* name) {
  using Bound = Trainer<Scalar>;
  py::class_<Bound>(module, name, "The training loop of a network: loss, optimiser, clipping.")
      .def(py::init([](const NetworkHandle<Scalar>& network, const std::string& loss,
                       const std::string& solver, double huber_delta, double beta1, double beta2,
                       double epsilon, double momentum, double weight_decay, double max_grad_norm,
                       Index tbptt_steps, bool recompute) {
             require(huber_delta > 0, "huber_delta", huber_delta, "more than 0");
             require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "0 <= beta1 < 1");
             require(beta2 >= 0 && beta2 < 1, "beta2", beta2, "0 <= beta2 < 1");
             require(epsilon > 0, "epsilon", epsilon, "more than 0");
             require(momentum >= 0 && momentum < 1, "momentum", momentum, "0 <= momentum < 1");
             require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0");
             require(tbptt_steps >= 0, "tbptt_steps", static_cast<double>(tbptt_steps),
                     "at least 0");
             if (recompute && tbptt_steps > 0) {
               throw std::invalid_argument("recompute must be False with tbptt_steps");
             }
             if ((recompute || tbptt_steps > 0) && !has_windows(network.network.spec())) {
               throw std::invalid_argument("tbptt_steps and recompute need bidirectional=False");
             }
             require(max_grad_norm > 0, "max_grad_norm", max_grad_norm, "more than 0");
             const OptimizerOptions options{solver_from_name(solver),
                                            beta1,
                                            beta2,
                                            epsilon,
                                            momentum,
                                            weight_decay,
                                            max_grad_norm};
             return std::make_unique<Bound>(network.network.spec(), network.network.kernels(),
                                            loss_from_name(loss), huber_delta, options,
                                            BpttOptions{tbptt_steps, recompute});
           }),
           py::arg("network"), py::kw_only(), py::arg("loss"), py::arg("solver"),
           py::arg("huber_delta") = 1.0, py::arg("beta1") = 0.9, py::arg("beta2") = 0.999,
           py::arg("epsilon") = 1e-8, py::arg("momentum") = 0.9, py::arg("weight_decay") = 0.0,
           py::arg("max_grad_norm") = INFINITY, py::arg("tbptt_steps") = 0,
           py::arg("recompute") = false)
      .def_property_readonly("n_parameters", &Bound::n_parameters)
      .def_property_readonly("n_state", &Bound::n_state)
      .def("run", &run<Scalar>, py::arg("parameters"), py::arg("state"), py::arg("n_steps_done"),
           py::arg("batches"), py::arg("targets"), py::arg("sample_weight"), py::kw_only(),
           py::arg("seed"), py::arg("epoch"), py::arg("learning_rate"), py::arg("n_threads"),
           "One optimiser step per batch, in place; sums of weighted losses, weights and norms.")
      .def("evaluate", &evaluate<Scalar>, py::arg("parameters"), py::arg("batches"),
           py::arg("targets"), py::arg("sample_weight"), py::kw_only(), py::arg("n_threads"),
           "The sums of weighted losses and of weights, without dropout and without a step.")
      .def("loss_and_gradient", &loss_and_gradient<Scalar>, py::arg("parameters"),
           py::arg("batches"), py::arg("targets"), py::arg("sample_weight"), py::kw_only(),
           py::arg("seed"), py::arg("epoch"), py::arg("n_threads"),
           "The mean loss of one batch and its gradient (P,).");
}

}  // namespace

void bind_trainer(py::module_& module) {
  bind_trainer_class<float>(module, "TrainerFloat32");
  bind_trainer_class<double>(module, "TrainerFloat64");
}

}  // namespace lstmcore::binding
