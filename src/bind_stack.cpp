// RecurrentStackFloat32, RecurrentStackFloat64: layers on their own, with states, gradients, gates.

#include <atomic>

#include "arrays.hpp"
#include "bind.hpp"
#include "caller_gradients.hpp"
#include "layers/stack_step.hpp"
#include "lent_array.hpp"
#include "norm_arrays.hpp"
#include "seeded_masks.hpp"
#include "stack_cache.hpp"
#include "stack_pass.hpp"
#include "state_arrays.hpp"

namespace lstmcore::binding {
namespace {

template <class Scalar>
class StackHandle {
 public:
  using SharedCache = std::shared_ptr<Cache<Scalar>>;
  using States = StateArrays<Scalar>;
  using Part = PassPart<Scalar>;
  using PackedGradients = binding::PackedGradients<Scalar>;

  StackHandle(const StackSpec& spec, const Kernels& kernels)
      : kernels_(&kernels), entries_(stack_layout(spec)), stack_(spec, kernels.table<Scalar>()) {
    stack_.reserve_panels();
  }

  Index n_parameters() const { return stack_.n_parameters(); }
  py::list layout() const { return layout_list(entries_); }
  const char* isa() const { return kernels_->name; }

  void set_parameters(const py::object& parameters) {
    const auto flat = as_array<Scalar>(parameters, "parameters", {n_parameters()});
    const Scalar* from = flat.data();
    const py::gil_scoped_release release;
    StandbyTeam::wait_until_idle();  // a thread may still read the panels for a step long over
    run_with_workers(1, [&](Workers& workers) { stack_.pack(from, workers); });
    has_parameters_ = true;
  }

  py::tuple forward(const py::object& x_object, const py::object& n_active, Index n_sequences,
                    const py::object& h0_object, const py::object& c0_object, int n_threads,
                    bool keep, const py::object& seed, const py::object& samples) {
    require_parameters();
    require_threads(n_threads);
    auto cache = std::make_shared<Cache<Scalar>>(pool_, id_);
    PassMemory<Scalar>& memory = *cache->memory;
    assign_batch(memory.batch, n_active, n_sequences);
    memory.packed = true;
    const Index R = memory.batch.n_rows();
    cache->x = as_array<Scalar>(x_object, "x", {R, stack_.input_size()});
    const States h0 = states_of(stack_, h0_object, "h0", n_sequences);
    const States c0 = cell_states_of(stack_, c0_object, "c0", n_sequences);
    const SeededMasks masks(seed, samples, n_sequences);
    auto y = new_array<Scalar>({R, stack_.output_size()});
    pass_forward(memory, keep, {cache->x.data(), {}}, pointers_of(h0), pointers_of(c0),
                 masks.dropout, {y.mutable_data(), {}}, n_threads);
    const auto [h_n, c_n] =
        state_lists(stack_, memory, n_sequences, &RecurrentLayer<Scalar>::get_final_state);
    return py::make_tuple(y, h_n, c_n, keep ? py::cast(cache) : py::none());
  }

  py::tuple backward(const SharedCache& cache, const py::object& dy_object,
                     const py::object& dh_object, const py::object& dc_object, bool need_dx,
                     int n_threads, bool need_dstate) {
    PassMemory<Scalar>& memory = fresh_memory(cache, true);
    require_threads(n_threads);
    const Index R = memory.batch.n_rows();
    const Index N = memory.batch.n_sequences();
    const PackedGradients given(stack_, memory, dy_object, dh_object, dc_object);
    BackwardRows<Scalar> rows = given.rows(*cache);
    py::object dx = py::none();
    if (need_dx) {
      auto array = new_array<Scalar>({R, stack_.input_size()});
      rows.dx.packed = array.mutable_data();
      dx = array;
    }
    auto gradient = lent_array(gradients_, n_parameters());
    rows.flat = gradient.mutable_data();
    rows.needs_dstate = need_dstate;
    pass_backward(*cache, rows, n_threads);
    if (!need_dstate) return py::make_tuple(dx, py::none(), py::none(), gradient);
    const auto [dh_0, dc_0] =
        state_lists(stack_, memory, N, &RecurrentLayer<Scalar>::get_state_gradient);
    return py::make_tuple(dx, dh_0, dc_0, gradient);
  }

  // The same two for sequences where a caller has them, and states (L, N, H). None where the
  // arguments are no plain arrays of the right shapes: who knows their names converts them.
  py::object run(const py::object& x_object, const py::object& state_object, int n_threads,
                 bool keep, bool reversed, const py::object& seed) {
    require_parameters();
    require_threads(n_threads);
    CallerSequences<Scalar> x;
    if (!x.read(x_object, stack_.input_size())) return py::none();
    const Index N = static_cast<Index>(x.lengths().size());
    CallerState<Scalar> state(stack_, N);
    if (!state.read(state_object, false)) return py::none();
    auto cache = std::make_shared<Cache<Scalar>>(pool_, id_);
    PassMemory<Scalar>& memory = *cache->memory;
    memory.packed = false;
    SequenceForm& form = memory.form;
    form = {x.lengths(), {}, x.n_steps(), reversed};
    form.arrange();
    const std::vector<Index> alive = form.n_active();
    memory.batch.assign(alive.data(), static_cast<Index>(alive.size()), N);
    Dropout masks;
    if (!seed.is_none()) {
      masks.key = Dropout::make_key(py::cast<std::uint64_t>(seed), 0);
      masks.samples = form.order.data();
    }
    NewSequences<Scalar> y(form, stack_.output_size());
    pass_forward(memory, keep, {nullptr, x.rows(form)}, state.hidden(form), state.cell(form), masks,
                 {nullptr, y.rows()}, n_threads);
    return py::make_tuple(y.as_object(),
                          new_state(stack_, memory, form, &RecurrentLayer<Scalar>::get_final_state),
                          keep ? py::cast(cache) : py::none());
  }

  py::object run_back(const SharedCache& cache, const py::object& dy_object,
                      const py::object& dstate_object, bool need_dx, int n_threads,
                      bool need_dstate) {
    PassMemory<Scalar>& memory = fresh_memory(cache, false);
    require_threads(n_threads);
    const SequenceForm& form = memory.form;
    SequenceGradients<Scalar> given(stack_, form);
    if (!given.read(dy_object, dstate_object)) return py::none();
    BackwardRows<Scalar> rows = given.rows();
    std::optional<NewSequences<Scalar>> dx;
    if (need_dx) {
      dx.emplace(form, stack_.input_size());
      rows.dx.sequences = dx->rows();
    }
    auto gradient = lent_array(gradients_, n_parameters());
    rows.flat = gradient.mutable_data();
    rows.needs_dstate = need_dstate;
    pass_backward(*cache, rows, n_threads);
    return py::make_tuple(dx ? dx->as_object() : py::none(),
                          need_dstate
                              ? py::object(new_state(stack_, memory, form,
                                                     &RecurrentLayer<Scalar>::get_state_gradient))
                              : py::none(),
                          named_views(entries_, gradient));
  }

  // Instead of run_back: norms of the gradients of the states of a layer.
  py::object state_gradient_norms(const SharedCache& cache, const py::object& dy_object,
                                  const py::object& dstate_object, Index layer, int n_threads) {
    const SequenceForm& form = fresh_memory(cache, false).form;
    require_threads(n_threads);
    SequenceGradients<Scalar> given(stack_, form);
    if (!given.read(dy_object, dstate_object)) return py::none();
    NormArrays arrays(stack_, layer, form.n_sequences(), form.n_rows());
    const GradientNorms norms = arrays.norms();
    BackwardRows<Scalar> rows = given.rows();
    rows.norms = &norms;
    pass_backward(*cache, rows, n_threads);
    return arrays.as_tuple();
  }

  // Lengths of the sequences of `run`, and the order that they were packed in.
  static py::tuple form(const SharedCache& cache) {
    if (cache == nullptr) throw std::invalid_argument("cache is None");
    const SequenceForm& form = cache->memory->form;
    return py::make_tuple(index_array(form.lengths), index_array(form.order), form.n_steps);
  }

  py::tuple gates(const SharedCache& cache, Index l) const {
    require_fresh(cache);
    require_layer(stack_, l);
    const PassMemory<Scalar>& memory = *cache->memory;
    const PackedBatch& batch = memory.batch;
    const Index H = stack_.layer(l).hidden_size();
    auto gate_array = new_array<Scalar>({batch.n_rows(), stack_.cell().n_shown_gates(), H});
    Array<Scalar> cell_array = new_cell_state(stack_, l, batch.n_rows());
    auto hidden_array = new_array<Scalar>({batch.n_rows(), stack_.layer(l).output_size()});
    for (const Part& part : memory.parts) {
      const auto& workspace = part.workspace.layers[static_cast<std::size_t>(l)];
      stack_.layer(l).get_gates(workspace, part.batch, stack_.is_reversed(l),
                                gate_array.mutable_data(), cell_array.mutable_data(),
                                hidden_array.mutable_data());
    }
    py::object cell = py::none();
    if (stack_.cell().has_cell_state()) cell = cell_array;
    return py::make_tuple(gate_array, cell, hidden_array);
  }

  // One step of all layers for N sequences; h and c (L, N, H) may be their own outputs. What the
  // stack puts out (N, H), or None where that is h of the top layer.
  py::object step(const py::object& x_object, const py::object& h_object,
                  const py::object& c_object, const py::object& h_out_object,
                  const py::object& c_out_object, int n_threads) {
    require_parameters();
    if (stack_.spec().bidirectional) {
      throw std::invalid_argument(
          "step goes from the start to the end, and bidirectional=True "
          "needs the end first");
    }
    const Index L = stack_.n_layers();
    const Index H = stack_.layer(L - 1).hidden_size();
    const Index outputs = stack_.layer(L - 1).output_size();
    require_equal_sizes(stack_, "step");
    const auto x = as_array<Scalar>(x_object, "x", {-1, stack_.input_size()});
    const Index N = x.shape(0);
    const auto h = as_array<Scalar>(h_object, "h", {L, N, outputs});
    auto h_out = as_output<Scalar>(h_out_object, "h_out", {L, N, outputs});
    // The caller holds these; an empty Array would be an object made anew at each step.
    const Scalar* c = nullptr;
    Scalar* c_out = nullptr;
    if (stack_.cell().has_cell_state()) {
      c = as_array<Scalar>(c_object, "c", {L, N, H}).data();
      c_out = as_output<Scalar>(c_out_object, "c_out", {L, N, H}).mutable_data();
    } else if (!c_object.is_none() || !c_out_object.is_none()) {
      require_cell_state(stack_, "c and c_out");
    }
    require_threads(n_threads);
    py::object y = py::none();
    Scalar* to = nullptr;
    if (!stack_.output_is_h()) {
      auto array = new_array<Scalar>({N, stack_.output_size()});
      to = array.mutable_data();
      y = array;
    }
    if (N == 0) return y;
    const auto loan = steps_.borrow();
    loan->run(stack_, N, x.data(), h.data(), c, h_out.mutable_data(), c_out, to, n_threads);
    return y;
  }

 private:
  void require_parameters() const {
    if (!has_parameters_) throw std::invalid_argument("parameters have not been set");
  }
  void require_fresh(const SharedCache& cache) const {
    if (cache == nullptr || cache->stack_id != id_) {
      throw std::invalid_argument("cache is not of this stack");
    }
    if (cache->spent) {
      throw std::invalid_argument(
          "cache has been used: a backward pass overwrites what the forward pass kept");
    }
  }

  // The memory of a cache that was made by `forward` (packed) or by `run`, and has not been used.
  PassMemory<Scalar>& fresh_memory(const SharedCache& cache, bool packed) const {
    require_fresh(cache);
    if (cache->memory->packed != packed) {
      throw std::invalid_argument(packed ? "cache is of run, not of forward"
                                         : "cache is of forward, not of run");
    }
    return *cache->memory;
  }

  void pass_forward(PassMemory<Scalar>& memory, bool keep, const CallerRows<const Scalar>& x,
                    const StatePointers<Scalar>& h0, const StatePointers<Scalar>& c0,
                    const Dropout& masks, const CallerRows<Scalar>& y, int n_threads) const {
    const Dropout kept = keep ? masks : Dropout{};  // only training has masks
    const ForwardPlan plan{.keep = keep, .from_zeros = h0.empty()};
    const int threads = reserve_forward(stack_, memory, plan, kept, n_threads);
    const py::gil_scoped_release release;
    forward_pass(stack_, memory, x, h0, c0, kept, y, threads);
  }

  void pass_backward(Cache<Scalar>& cache, const BackwardRows<Scalar>& rows, int n_threads) const {
    PassMemory<Scalar>& memory = *cache.memory;
    const int threads = reserve_backward(stack_, memory, rows, n_threads);
    cache.spent = true;
    const py::gil_scoped_release release;
    backward_pass(stack_, memory, rows, threads);
  }

  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

  const std::uint64_t id_ = next_id();
  const Kernels* kernels_;
  std::vector<ParameterEntry> entries_;
  RecurrentStack<Scalar> stack_;
  bool has_parameters_ = false;
  std::shared_ptr<typename Cache<Scalar>::Pool> pool_ =
      std::make_shared<typename Cache<Scalar>::Pool>();
  std::shared_ptr<ArrayPool<Scalar>> gradients_ = std::make_shared<ArrayPool<Scalar>>();
  WorkspacePool<StackStep<Scalar>> steps_;  // after the stack: they end before it
};

template <class Scalar>
void bind_stack_class(py::module_& module, const char* name, const char* cache_name) {
  using Handle = StackHandle<Scalar>;
  py::class_<Cache<Scalar>, std::shared_ptr<Cache<Scalar>>>(
      module, cache_name, "What a forward pass keeps for one backward pass.");
  py::class_<Handle>(module, name, "LSTM layers on top of each other, over packed batches.")
      .def(py::init([](Index input_size, std::vector<Index> hidden_sizes, const std::string& isa,
                       const py::dict& options, bool bidirectional, bool residual) {
             const StackSpec spec{input_size, std::move(hidden_sizes), cell_from(options),
                                  true,       bidirectional,           residual};
             stack_layout(spec);  // checks the sizes before memory is asked for
             return std::make_unique<Handle>(spec, select_kernels(isa));
           }),
           py::arg("input_size"), py::arg("hidden_sizes"), py::arg("isa") = "", py::kw_only(),
           py::arg("cell") = py::dict(), py::arg("bidirectional") = false,
           py::arg("residual") = false)
      .def_property_readonly("n_parameters", &Handle::n_parameters)
      .def_property_readonly("layout", &Handle::layout)
      .def_property_readonly("isa", &Handle::isa)
      .def("set_parameters", &Handle::set_parameters, py::arg("parameters"),
           "Copies the flat parameters (P,) into packed panels.")
      .def("forward", &Handle::forward, py::arg("x"), py::arg("n_active"), py::arg("n_sequences"),
           py::arg("h0"), py::arg("c0"), py::kw_only(), py::arg("n_threads"), py::arg("keep"),
           py::arg("seed") = py::none(), py::arg("samples") = py::none(),
           "y (R, D H), h_n and c_n per layer (N, H), and a cache or None.")
      .def("backward", &Handle::backward, py::arg("cache"), py::arg("dy"), py::arg("dh_n"),
           py::arg("dc_n"), py::kw_only(), py::arg("need_dx"), py::arg("n_threads"),
           py::arg("need_dstate") = true,
           "dx (R, I) or None, dh_0 and dc_0 per layer (N, H) or None, and the gradient (P,).")
      .def("run", &Handle::run, py::arg("x"), py::arg("state"), py::arg("n_threads"),
           py::arg("keep"), py::arg("reverse"), py::arg("seed"),
           "forward of sequences as they are: y like x, the state (L, N, H), and a cache or None. "
           "None if an argument is no plain array, or none of the right shape.")
      .def("run_back", &Handle::run_back, py::arg("cache"), py::arg("dy"), py::arg("dstate"),
           py::arg("need_dx"), py::arg("n_threads"), py::arg("need_dstate") = true,
           "backward of run: dx like x or None, dstate (L, N, H) or None, and name -> gradient; "
           "or None.")
      .def(
          "state_gradient_norms", &Handle::state_gradient_norms, py::arg("cache"), py::arg("dy"),
          py::arg("dstate"), py::arg("layer"), py::arg("n_threads"),
          "In the place of run_back: norms (N + R) of the gradients of h and c of a layer: initial "
          "states, then all steps, packed; or None.")
      .def_static("form", &Handle::form, py::arg("cache"),
                  "Of run: lengths (N,), packed order (N,), and T of an array, -1 of a list.")
      .def("gates", &Handle::gates, py::arg("cache"), py::arg("layer"),
           "Gates (R, G, H), cell states or None, and hidden states (R, H) of a layer.")
      .def("step", &Handle::step, py::arg("x"), py::arg("h"), py::arg("c"), py::arg("h_out"),
           py::arg("c_out"), py::arg("n_threads"),
           "One time step, from x (N, I) and states (L, N, H) to states; y (N, H) or None.");
}

}  // namespace

void bind_stack(py::module_& module) {
  bind_stack_class<float>(module, "RecurrentStackFloat32", "RecurrentCacheFloat32");
  bind_stack_class<double>(module, "RecurrentStackFloat64", "RecurrentCacheFloat64");
}

}  // namespace lstmcore::binding
