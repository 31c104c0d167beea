// NetworkFloat32, NetworkFloat64.

#include <algorithm>

#include "arrays.hpp"
#include "bind.hpp"
#include "norm_arrays.hpp"

namespace lstmcore::binding {
namespace {

template <class Scalar>
void set_parameters(NetworkHandle<Scalar>& self, const py::object& parameters) {
  const auto flat = as_array<Scalar>(parameters, "parameters", {self.network.n_parameters()});
  const Scalar* from = flat.data();
  const py::gil_scoped_release release;
  run_with_workers(1, [&](Workers& workers) { self.network.pack(from, workers); });
  self.has_parameters = true;
}

template <class Scalar>
Array<Scalar> predict(NetworkHandle<Scalar>& self, const py::object& x_object,
                      const py::object& n_active_object, Index n_sequences, bool with_link,
                      int n_threads) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  const NetworkSpec& spec = self.network.spec();
  auto workspace = self.workspaces.borrow();
  assign_batch(workspace->batch, n_active_object, n_sequences);
  const auto x =
      as_array<Scalar>(x_object, "x", {workspace->batch.n_rows(), spec.stack.input_size});
  require_threads(n_threads);
  auto outputs = new_array<Scalar>({n_sequences, spec.n_outputs});
  Scalar* to = outputs.mutable_data();
  const Scalar* from = x.data();
  {
    const py::gil_scoped_release release;
    self.network.predict(from, with_link, n_threads, *workspace, to);
  }
  return outputs;
}

template <class Scalar>
py::tuple predict_step(NetworkHandle<Scalar>& self, const py::object& h_object,
                       const py::object& pooled_object, const py::object& n_steps_object,
                       bool with_link) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  const NetworkSpec& spec = self.network.spec();
  const Index H = self.network.stack().output_size();
  const auto h = as_array<Scalar>(h_object, "h", {-1, H});
  const Index N = h.shape(0);
  const auto before = as_array<Scalar>(pooled_object, "pooled", {N, H});
  const auto n_steps = as_array<Index>(n_steps_object, "n_steps", {N});
  const Index* steps = n_steps.data();
  if (std::any_of(steps, steps + N, [](Index n) { return n < 1; })) {
    throw std::invalid_argument("n_steps must be at least 1 everywhere");
  }
  auto pooled = new_array<Scalar>({N, H});
  auto outputs = new_array<Scalar>({N, spec.n_outputs});
  std::copy_n(before.data(), N * H, pooled.mutable_data());
  auto workspace = self.workspaces.borrow();
  self.network.predict_step(h.data(), steps, N, with_link, *workspace, pooled.mutable_data(),
                            outputs.mutable_data());
  return py::make_tuple(outputs, pooled);
}

template <class Scalar>
py::tuple state_gradient_norms(NetworkHandle<Scalar>& self, const py::object& x_object,
                               const py::object& n_active_object, const py::object& dscores_object,
                               Index layer, int n_threads) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  const NetworkSpec& spec = self.network.spec();
  const auto dscores = as_array<Scalar>(dscores_object, "dscores", {-1, spec.n_outputs});
  const Index N = dscores.shape(0);
  auto workspace = self.workspaces.borrow();
  assign_batch(workspace->batch, n_active_object, N);
  const Index R = workspace->batch.n_rows();
  const auto x = as_array<Scalar>(x_object, "x", {R, spec.stack.input_size});
  require_threads(n_threads);
  NormArrays arrays(self.network.stack(), layer, N, R);
  const GradientNorms norms = arrays.norms();
  const Scalar* from = x.data();
  const Scalar* given = dscores.data();
  {
    const py::gil_scoped_release release;
    self.network.state_gradient_norms(from, given, n_threads, *workspace, norms);
  }
  return arrays.as_tuple();
}

template <class Scalar>
Array<Scalar> input_gradient(NetworkHandle<Scalar>& self, const py::object& x_object,
                             const py::object& n_active_object, const py::object& dscores_object,
                             int n_threads) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  const NetworkSpec& spec = self.network.spec();
  if (!spec.stack.with_dx) throw std::invalid_argument("the network was made with with_dx=False");
  const auto dscores = as_array<Scalar>(dscores_object, "dscores", {-1, spec.n_outputs});
  auto workspace = self.workspaces.borrow();
  assign_batch(workspace->batch, n_active_object, dscores.shape(0));
  const Index R = workspace->batch.n_rows();
  const auto x = as_array<Scalar>(x_object, "x", {R, spec.stack.input_size});
  require_threads(n_threads);
  auto gradient = new_array<Scalar>({R, spec.stack.input_size});
  Scalar* to = gradient.mutable_data();
  const Scalar* from = x.data();
  const Scalar* given = dscores.data();
  {
    const py::gil_scoped_release release;
    self.network.input_gradient(from, given, n_threads, *workspace, to);
  }
  return gradient;
}

template <class Scalar>
void bind(py::module_& module, const char* name) {
  using Bound = NetworkHandle<Scalar>;
  py::class_<Bound>(module, name, "Recurrent stack, pooling, dense head and link.")
      .def(py::init([](Index input_size, std::vector<Index> hidden_sizes, Index n_outputs,
                       const std::string& pooling, const std::string& link, double dropout,
                       const py::dict& cell_options, bool with_dx, const std::string& isa) {
             const StackSpec stack{input_size, std::move(hidden_sizes), cell_from(cell_options),
                                   with_dx};
             network_layout(stack, n_outputs);  // checks the sizes
             if (!(dropout >= 0.0 && dropout < 1.0)) {
               throw std::invalid_argument("dropout is " + std::to_string(dropout) +
                                           ", expected 0 <= dropout < 1");
             }
             const NetworkSpec spec{stack, n_outputs, pooling_from_name(pooling),
                                    link_from_name(link), dropout};
             return std::make_unique<Bound>(spec, select_kernels(isa));
           }),
           py::arg("input_size"), py::arg("hidden_sizes"), py::arg("n_outputs"), py::kw_only(),
           py::arg("pooling"), py::arg("link"), py::arg("dropout"), py::arg("cell") = py::dict(),
           py::arg("with_dx") = false, py::arg("isa") = "")
      .def_property_readonly("n_parameters",
                             [](const Bound& self) { return self.network.n_parameters(); })
      .def_property_readonly("layout",
                             [](const Bound& self) {
                               const NetworkSpec& spec = self.network.spec();
                               return layout_list(network_layout(spec.stack, spec.n_outputs));
                             })
      .def_property_readonly("isa", [](const Bound& self) { return self.network.kernels().name; })
      .def("set_parameters", &set_parameters<Scalar>, py::arg("parameters"),
           "Copies the flat parameters (P,) into packed panels.")
      .def("predict", &predict<Scalar>, py::arg("x"), py::arg("n_active"), py::arg("n_sequences"),
           py::kw_only(), py::arg("apply_link"), py::arg("n_threads"),
           "Outputs (N, K) of a packed batch, in packed order.")
      .def("predict_step", &predict_step<Scalar>, py::arg("h"), py::arg("pooled"),
           py::arg("n_steps"), py::kw_only(), py::arg("apply_link"),
           "Outputs (N, K) and pooled (N, H) after one more step, which gave h (N, H).")
      .def("state_gradient_norms", &state_gradient_norms<Scalar>, py::arg("x"), py::arg("n_active"),
           py::arg("dscores"), py::kw_only(), py::arg("layer"), py::arg("n_threads"),
           "Norms (N + R) of the gradients of that sum with respect to h and c of a layer.")
      .def("input_gradient", &input_gradient<Scalar>, py::arg("x"), py::arg("n_active"),
           py::arg("dscores"), py::kw_only(), py::arg("n_threads"),
           "Gradient (R, I) of the sum of dscores (N, K) times the scores, of a packed batch.");
}

}  // namespace

void bind_network(py::module_& module) {
  bind<float>(module, "NetworkFloat32");
  bind<double>(module, "NetworkFloat64");
}

}  // namespace lstmcore::binding
