// What runs here, and the activations on their own.

#include "arrays.hpp"
#include "base/parallel.hpp"
#include "bind.hpp"
#include "kernels/clock.hpp"
#include "kernels/dispatch.hpp"

namespace lstmcore::binding {
namespace {

py::list names(const std::vector<const Kernels*>& kernels) {
  py::list list;
  for (const Kernels* k : kernels) list.append(k->name);
  return list;
}

py::dict config() {
  py::dict config;
  config["version"] = LSTMCORE_VERSION;
  config["isa"] = select_kernels().name;
  config["isas_available"] = names(available_kernels());
  config["isas_compiled"] = names(compiled_kernels());
  config["lanes_float32"] = select_kernels().lanes_float32;
  config["max_threads"] = max_threads();
  config["openmp"] = threading_description();
  config["compiler"] = __VERSION__;
  return config;
}

template <class Scalar>
void bind_activations(py::module_& module) {
  using Function = void (*KernelTable<Scalar>::*)(const Scalar*, Scalar*, Index) noexcept;
  const auto bind = [&module](const char* name, Function function, const char* doc) {
    module.def(
        name,
        [function](const Array<Scalar>& x, const std::string& isa) {
          if (x.ndim() != 1) {
            throw std::invalid_argument("x must have shape (any,), got " + shape_text(shape_of(x)));
          }
          const Kernels& kernels = select_kernels(isa);
          Array<Scalar> y = new_array<Scalar>({x.size()});
          run_with_workers(1, [&](Workers&) {
            (kernels.table<Scalar>().*function)(x.data(), y.mutable_data(), x.size());
          });
          return y;
        },
        py::arg("x").noconvert(), py::arg("isa") = "", doc);
  };
  bind("sigmoid", &KernelTable<Scalar>::sigmoid, "1 / (1 + exp(-x)), as the gates compute it.");
  bind("tanh", &KernelTable<Scalar>::tanh, "tanh(x), as the cells compute it.");
  module.def(
      "activate",
      [](const Array<Scalar>& x, const py::tuple& activation, const std::string& isa) {
        if (x.ndim() != 1) {
          throw std::invalid_argument("x must have shape (any,), got " + shape_text(shape_of(x)));
        }
        const KernelTable<Scalar>& kernels = select_kernels(isa).table<Scalar>();
        const auto kind = activation_of(activation_from(activation), kUnbounded, kernels);
        Array<Scalar> y = new_array<Scalar>({x.size()});
        run_with_workers(
            1, [&](Workers&) { kernels.activate(kind, x.data(), y.mutable_data(), x.size()); });
        return y;
      },
      py::arg("x").noconvert(), py::arg("activation"), py::arg("isa") = "",
      "An activation (name, alpha, beta) of x, as cells with options compute it.");
}

}  // namespace

py::list layout_list(const std::vector<ParameterEntry>& entries) {
  py::list list;
  for (const ParameterEntry& entry : entries) {
    py::tuple shape(entry.shape.size());
    for (std::size_t axis = 0; axis < entry.shape.size(); ++axis) shape[axis] = entry.shape[axis];
    list.append(py::make_tuple(entry.name, shape, entry.offset));
  }
  return list;
}

void bind_config(py::module_& module) {
  module.def("config", &config, "What this build has and what runs here, as a dict.");
  module.def("max_threads", &max_threads,
             "Threads that OpenMP would start now, threadpoolctl's limit included.");
  module.def(
      "isas_available", [] { return names(available_kernels()); },
      "Instruction sets that this processor runs, best first.");
  module.def(
      "resolve_isa", [](const std::string& name) { return select_kernels(name).name; },
      py::arg("name") = "",
      "The instruction set of that name; for an empty name LSTMCORE_ISA's, or the best.");
  module.def(
      "allocated_bytes", [] { return allocated_bytes.load(); },
      "Bytes of the buffers that the core's objects hold now.");
  module.def(
      "kernel_times",
      [] {
        py::dict times;
        for (const KernelTime& t : kernel_times())
          times[t.name] = py::make_tuple(t.calls, t.seconds);
        return times;
      },
      "Calls and seconds, all threads together, of each kernel with a clock (isa='avx512+clock').");
  bind_activations<float>(module);
  bind_activations<double>(module);
}

}  // namespace lstmcore::binding
