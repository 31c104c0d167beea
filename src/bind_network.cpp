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
  const Index tables = self.network.table_offset();
  Scalar* kept = self.tables.reserve(self.network.n_parameters() - tables);
  std::copy(from + tables, from + self.network.n_parameters(), kept);
  run_with_workers(1, [&](Workers& workers) { self.network.pack(from, workers); });
  self.network.use_tables(kept);
  self.has_parameters = true;
}

// x (R, I) of a network that has parameters; its tokens are not looked at.
template <class Scalar>
Array<Scalar> input_rows(const NetworkHandle<Scalar>& self, const py::object& x_object,
                         Index n_rows) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  return as_array<Scalar>(x_object, "x", {n_rows, self.network.spec().n_columns()});
}

// The same with tokens that have rows in their tables.
template <class Scalar>
Array<Scalar> checked_input(const NetworkHandle<Scalar>& self, const py::object& x_object,
                            Index n_rows) {
  auto x = input_rows(self, x_object, n_rows);
  require_tokens(self.network, x, "x", 0, x.shape(0));
  return x;
}

// Rows that are read where they lie are those of one call, however it ends.
template <class Scalar>
struct ReadingInPlace {
  explicit ReadingInPlace(NetworkWorkspace<Scalar>& w) : workspace(w) {}
  ReadingInPlace(const ReadingInPlace&) = delete;
  ReadingInPlace& operator=(const ReadingInPlace&) = delete;
  ~ReadingInPlace() { workspace.sequences = {}; }
  NetworkWorkspace<Scalar>& workspace;
};

template <class Scalar>
Array<Scalar> predict(NetworkHandle<Scalar>& self, const py::object& x_object,
                      const py::object& n_active_object, Index n_sequences, bool with_link,
                      int n_threads, const py::object& begins_object) {
  auto workspace = self.workspaces.borrow();
  const ReadingInPlace<Scalar> reading(*workspace);
  const PackedBatch& batch = workspace->batch;
  assign_batch(workspace->batch, n_active_object, n_sequences);
  const bool packed = begins_object.is_none();
  const auto x =
      packed ? checked_input(self, x_object, batch.n_rows()) : input_rows(self, x_object, -1);
  const Scalar* from = x.data();
  if (!packed) {
    const auto begins = as_array<Index>(begins_object, "begins", {n_sequences});
    for (Index n = 0; n < n_sequences; ++n) {
      require_rows(self.network, x, "x", begins.data()[n], batch.length(n));
    }
    from = workspace->read_in_place(from, begins.data(), self.network.spec().n_columns());
  }
  require_threads(n_threads);
  auto outputs = new_array<Scalar>({n_sequences, self.network.spec().n_outputs});
  Scalar* to = outputs.mutable_data();
  {
    const py::gil_scoped_release release;
    self.network.predict(from, with_link, n_threads, *workspace, to);
  }
  return outputs;
}

template <class Scalar>
Array<Scalar> attention(NetworkHandle<Scalar>& self, const py::object& x_object,
                        const py::object& n_active_object, Index n_sequences, int n_threads) {
  if (self.network.spec().pooling != Pooling::kAttention) {
    throw std::invalid_argument("the network was made without attention pooling");
  }
  auto workspace = self.workspaces.borrow();
  assign_batch(workspace->batch, n_active_object, n_sequences);
  const Index R = workspace->batch.n_rows();
  const auto x = checked_input(self, x_object, R);
  require_threads(n_threads);
  auto weights = new_array<Scalar>({R});
  Scalar* to = weights.mutable_data();
  const Scalar* from = x.data();
  {
    const py::gil_scoped_release release;
    self.network.attention(from, n_threads, *workspace, to);
  }
  return weights;
}

template <class Scalar>
Array<Scalar> embed(const NetworkHandle<Scalar>& self, const py::object& x_object) {
  const auto x = checked_input(self, x_object, -1);
  const Embeddings<Scalar>& embeddings = self.network.embeddings();
  auto inputs = new_array<Scalar>({x.shape(0), embeddings.output_size()});
  embeddings.embed(x.data(), x.shape(0), inputs.mutable_data());
  return inputs;
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
  const Index carried = self.network.carried_size();
  const auto before = as_array<Scalar>(pooled_object, "pooled", {N, carried});
  const auto n_steps = as_array<Index>(n_steps_object, "n_steps", {N});
  const Index* steps = n_steps.data();
  if (std::any_of(steps, steps + N, [](Index n) { return n < 1; })) {
    throw std::invalid_argument("n_steps must be at least 1 everywhere");
  }
  auto pooled = new_array<Scalar>({N, carried});
  auto outputs = new_array<Scalar>({N, spec.n_outputs});
  std::copy_n(before.data(), N * carried, pooled.mutable_data());
  auto workspace = self.workspaces.borrow();
  self.network.predict_step(h.data(), steps, N, with_link, *workspace, pooled.mutable_data(),
                            outputs.mutable_data());
  return py::make_tuple(outputs, pooled);
}

template <class Scalar>
py::tuple state_gradient_norms(NetworkHandle<Scalar>& self, const py::object& x_object,
                               const py::object& n_active_object, const py::object& dscores_object,
                               Index layer, int n_threads) {
  const Index K = self.network.spec().n_outputs;
  const auto dscores = as_array<Scalar>(dscores_object, "dscores", {-1, K});
  const Index N = dscores.shape(0);
  auto workspace = self.workspaces.borrow();
  assign_batch(workspace->batch, n_active_object, N);
  const Index R = workspace->batch.n_rows();
  const auto x = checked_input(self, x_object, R);
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
Array<Scalar> pool_steps(NetworkHandle<Scalar>& self, const py::object& h_object,
                         const py::object& pooled_object, Index n_steps) {
  const Index H = self.network.stack().output_size();
  const auto h = as_array<Scalar>(h_object, "h", {-1, H});
  const Index carried = self.network.carried_size();
  const auto before = as_array<Scalar>(pooled_object, "pooled", {carried});
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  if (n_steps < 0) throw std::invalid_argument("n_steps must be at least 0");
  auto pooled = new_array<Scalar>({carried});
  std::copy_n(before.data(), carried, pooled.mutable_data());
  auto workspace = self.workspaces.borrow();
  self.network.pool_steps(h.data(), h.shape(0), n_steps, *workspace, pooled.mutable_data());
  return pooled;
}

template <class Scalar>
Array<Scalar> input_gradient(NetworkHandle<Scalar>& self, const py::object& x_object,
                             const py::object& n_active_object, const py::object& dscores_object,
                             int n_threads) {
  if (!self.has_parameters) throw std::invalid_argument("parameters have not been set");
  const NetworkSpec& spec = self.network.spec();
  if (!spec.stack.with_dx || !spec.embeddings.empty()) {
    throw std::invalid_argument("the network was made with with_dx=False");
  }
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

// Columns of x, of which some hold tokens.
void set_inputs(NetworkSpec& spec, Index n_columns,
                const std::vector<std::tuple<Index, Index, Index>>& embeddings) {
  for (const auto& [column, n_tokens, size] : embeddings) {
    spec.embeddings.push_back({column, n_tokens, size});
  }
  spec.stack.input_size = Embeddings<float>(n_columns, spec.embeddings).output_size();
  if (embeddings.empty()) return;
  if (spec.stack.with_dx) {
    throw std::invalid_argument("with_dx is for networks without embeddings: tokens have no dx");
  }
  spec.stack.with_dx = true;
}

template <class Scalar>
void bind_network_class(py::module_& module, const char* name) {
  using Bound = NetworkHandle<Scalar>;
  py::class_<Bound>(module, name, "Recurrent stack, pooling, dense head and link.")
      .def(
          py::init([](Index input_size, std::vector<Index> hidden_sizes, Index n_outputs,
                      const std::string& pooling, const std::string& link, double dropout,
                      const py::dict& cell_options, bool with_dx, bool bidirectional, bool residual,
                      const std::vector<std::tuple<Index, Index, Index>>& embeddings,
                      const std::string& isa) {
            if (!(dropout >= 0.0 && dropout < 1.0)) {
              throw std::invalid_argument("dropout is " + std::to_string(dropout) +
                                          ", expected 0 <= dropout < 1");
            }
            NetworkSpec spec;
            spec.pooling = pooling_from_name(pooling);
            spec.link = link_from_name(link);
            spec.stack = {0,       std::move(hidden_sizes), cell_from(cell_options),
                          with_dx, bidirectional,           residual};
            spec.n_outputs = n_outputs;
            spec.dropout = dropout;
            set_inputs(spec, input_size, embeddings);
            network_layout(spec);  // checks the sizes
            return std::make_unique<Bound>(spec, select_kernels(isa));
          }),
          py::arg("input_size"), py::arg("hidden_sizes"), py::arg("n_outputs"), py::kw_only(),
          py::arg("pooling"), py::arg("link"), py::arg("dropout"), py::arg("cell") = py::dict(),
          py::arg("with_dx") = false, py::arg("bidirectional") = false, py::arg("residual") = false,
          py::arg("embeddings") = std::vector<std::tuple<Index, Index, Index>>(),
          py::arg("isa") = "")
      .def_property_readonly("n_parameters",
                             [](const Bound& self) { return self.network.n_parameters(); })
      .def_property_readonly(
          "layout",
          [](const Bound& self) { return layout_list(network_layout(self.network.spec())); })
      .def_property_readonly("isa", [](const Bound& self) { return self.network.kernels().name; })
      .def("set_parameters", &set_parameters<Scalar>, py::arg("parameters"),
           "Copies the flat parameters (P,) into packed panels.")
      .def(
          "predict", &predict<Scalar>, py::arg("x"), py::arg("n_active"), py::arg("n_sequences"),
          py::kw_only(), py::arg("apply_link"), py::arg("n_threads"),
          py::arg("begins") = py::none(),
          "Outputs (N, K) of a packed batch, in packed order; with begins (N,) x holds the rows of "
          "sequence n from row begins[n] on, one after the other.")
      .def("attention", &attention<Scalar>, py::arg("x"), py::arg("n_active"),
           py::arg("n_sequences"), py::kw_only(), py::arg("n_threads"),
           "Weights (R,) of the steps of a packed batch, by attention pooling.")
      .def("embed", &embed<Scalar>, py::arg("x"),
           "Rows (R, E) that the layers read, tokens replaced by their embeddings.")
      .def("predict_step", &predict_step<Scalar>, py::arg("h"), py::arg("pooled"),
           py::arg("n_steps"), py::kw_only(), py::arg("apply_link"),
           "Outputs (N, K) and pooled (N, C) after one more step, which gave h (N, H).")
      .def("state_gradient_norms", &state_gradient_norms<Scalar>, py::arg("x"), py::arg("n_active"),
           py::arg("dscores"), py::kw_only(), py::arg("layer"), py::arg("n_threads"),
           "Norms (N + R) of the gradients of that sum with respect to h and c of a layer.")
      .def(
          "recompute_starts",
          [](const Bound& self, Index n_steps, Index n_sequences) {
            if (n_steps < 1 || n_sequences < 1) {
              throw std::invalid_argument("n_steps and n_sequences must be at least 1");
            }
            return self.network.recompute_starts(n_steps, n_sequences);
          },
          py::arg("n_steps"), py::arg("n_sequences"),
          "First steps of the windows that recompute=True makes of sequences of one length.")
      .def("pool_steps", &pool_steps<Scalar>, py::arg("h"), py::arg("pooled"), py::arg("n_steps"),
           "pooled (C,) after more steps of one sequence, which gave h (n, H).")
      .def("input_gradient", &input_gradient<Scalar>, py::arg("x"), py::arg("n_active"),
           py::arg("dscores"), py::kw_only(), py::arg("n_threads"),
           "Gradient (R, I) of the sum of dscores (N, K) times the scores, of a packed batch.");
}

}  // namespace

void bind_network(py::module_& module) {
  bind_network_class<float>(module, "NetworkFloat32");
  bind_network_class<double>(module, "NetworkFloat64");
}

}  // namespace lstmcore::binding
