// RecurrentStackFloat32, RecurrentStackFloat64: layers on their own, with states, gradients, gates.

#include <atomic>

#include "arrays.hpp"
#include "bind.hpp"
#include "caller_rows.hpp"
#include "layers/stack_step.hpp"
#include "norm_arrays.hpp"
#include "seeded_masks.hpp"
#include "stack_cache.hpp"
#include "state_arrays.hpp"

namespace lstmcore::binding {
namespace {

template <class Scalar>
class StackHandle {
 public:
  using SharedCache = std::shared_ptr<Cache<Scalar>>;
  using States = StateArrays<Scalar>;
  using Part = PassPart<Scalar>;

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
                    bool keep, const py::object& starts, const py::object& seed,
                    const py::object& samples) {
    if (!has_parameters_) throw std::invalid_argument("parameters have not been set");
    require_threads(n_threads);
    if (!keep) {
      auto memory = pool_->borrow();
      return run_forward(*memory, x_object, n_active, n_sequences, starts, h0_object, c0_object,
                         n_threads, nullptr, Dropout{});
    }
    auto cache = std::make_shared<Cache<Scalar>>(pool_, id_);
    const SeededMasks masks(seed, samples, n_sequences);
    return run_forward(*cache->memory, x_object, n_active, n_sequences, starts, h0_object,
                       c0_object, n_threads, cache, masks.dropout);
  }

  py::tuple backward(const SharedCache& cache, const py::object& dy_object,
                     const py::object& dh_object, const py::object& dc_object, bool need_dx,
                     int n_threads) {
    require_threads(n_threads);
    require_fresh(cache);
    PassMemory<Scalar>& memory = *cache->memory;
    const Index R = memory.batch.n_rows();
    const Index N = memory.batch.n_sequences();
    py::object dx = py::none();
    Scalar* dx_rows = nullptr;
    if (need_dx) {
      auto array = new_array<Scalar>({R, stack_.input_size()});
      dx_rows = array.mutable_data();
      dx = array;
    }
    auto gradient = new_array<Scalar>({n_parameters()});
    run_backward(*cache, dy_object, dh_object, dc_object, dx_rows, gradient.mutable_data(), nullptr,
                 n_threads);
    const auto [dh_0, dc_0] =
        state_lists(stack_, memory, N, &RecurrentLayer<Scalar>::get_state_gradient);
    return py::make_tuple(dx, dh_0, dc_0, gradient);
  }

  // Instead of backward: norms of the gradients of the states of a layer.
  py::tuple state_gradient_norms(const SharedCache& cache, const py::object& dy_object,
                                 const py::object& dh_object, const py::object& dc_object,
                                 Index layer, int n_threads) {
    require_threads(n_threads);
    require_fresh(cache);
    const PackedBatch& batch = cache->memory->batch;
    NormArrays arrays(stack_, layer, batch.n_sequences(), batch.n_rows());
    const GradientNorms norms = arrays.norms();
    run_backward(*cache, dy_object, dh_object, dc_object, nullptr, nullptr, &norms, n_threads);
    return arrays.as_tuple();
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
    if (!has_parameters_) throw std::invalid_argument("parameters have not been set");
    if (stack_.spec().bidirectional) {
      throw std::invalid_argument(
          "step goes from the start to the end, and bidirectional=True "
          "needs the end first");
    }
    const Index L = stack_.n_layers();
    const Index H = stack_.layer(L - 1).hidden_size();
    const Index outputs = stack_.layer(L - 1).output_size();
    for (Index l = 0; l < L; ++l) {
      if (stack_.layer(l).hidden_size() == H) continue;
      throw std::invalid_argument("step needs layers of equal hidden_sizes");
    }
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
  static LayerWorkspace<Scalar>& layer_of(Part& part, Index l) {
    return part.workspace.layers[static_cast<std::size_t>(l)];
  }
  double multiply_adds(const PackedBatch& batch) const {
    return stack_.multiply_adds_per_row() * static_cast<double>(batch.n_rows());
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

  // BPTT to dx, to the gradient of the parameters `flat`, and to norms, where they are not null.
  void run_backward(Cache<Scalar>& cache, const py::object& dy_object, const py::object& dh_object,
                    const py::object& dc_object, Scalar* dx, Scalar* flat,
                    const GradientNorms* norms, int n_threads) {
    PassMemory<Scalar>& memory = *cache.memory;
    const PackedBatch& batch = memory.batch;
    const Index width = stack_.output_size();
    const Index padded_width = stack_.padded_output_size();
    const States dh_n = states_of(stack_, dh_object, "dh_n", batch.n_sequences());
    const States dc_n = cell_states_of(stack_, dc_object, "dc_n", batch.n_sequences());
    const bool packed = memory.starts.empty();
    const Index R = batch.n_rows();
    const Index I = stack_.input_size();
    const Index padded_inputs = round_up(I, kBlock<Scalar>);
    const Scalar* dy = nullptr;
    if (!dy_object.is_none()) {
      dy = as_array<Scalar>(dy_object, "dy", {R, width}).data();
      if (packed) dy = padded(dy, R, width, padded_width, memory.dy);
    }
    Scalar* packed_dx = nullptr;
    if (dx != nullptr && packed) packed_dx = memory.dx.reserve(checked_product(R, padded_inputs));
    const int threads = useful_threads(2.0 * multiply_adds(batch), n_threads);
    for (Part& part : memory.parts) {
      stack_.reserve_gradients(part.workspace, part.batch);
      if (flat != nullptr) stack_.reserve_sums(part.sums, threads);
      if (packed) continue;
      const Index rows = part.batch.n_rows();
      if (dy != nullptr) part.dy.reserve(checked_product(rows, padded_width));
      if (dx != nullptr) part.dx.reserve(checked_product(rows, padded_inputs));
    }
    const Scalar* x = cache.x.data();
    cache.spent = true;
    const py::gil_scoped_release release;
    run_with_workers(threads, [&](Workers& workers) {
      each_part(memory.parts, workers, [&](Part& part, Workers& its_workers) {
        const Index first = part.batch.first_sequence();
        for (Index l = 0; l < stack_.n_layers(); ++l) {
          stack_.layer(l).set_state_gradient(layer_of(part, l), part.batch, data_of(dh_n, l, first),
                                             data_of(dc_n, l, first), 0, part.batch.n_sequences());
        }
        StackGradients<Scalar>* sums = flat == nullptr ? nullptr : &part.sums;
        if (sums != nullptr) stack_.clear(*sums, flat);
        if (packed) {
          stack_.backward(part.batch, {x, I, true}, {dy, padded_width, true},
                          {packed_dx, padded_inputs, true}, Dropout{}, part.workspace, sums,
                          its_workers, norms);
        } else {
          backward_sequences(stack_, memory.starts.data() + first, part, dy, dx, sums, its_workers,
                             norms);
        }
      });
      if (flat == nullptr) return;
      std::vector<StackGradients<Scalar>*> parts;
      for (Part& part : memory.parts) parts.push_back(&part.sums);
      stack_.get_gradients(parts, flat, workers);
    });
    if (packed_dx == nullptr) return;
    for (Index r = 0; r < R; ++r) std::copy_n(packed_dx + r * padded_inputs, I, dx + r * I);
  }

  py::tuple run_forward(PassMemory<Scalar>& memory, const py::object& x_object,
                        const py::object& n_active, Index n_sequences,
                        const py::object& starts_object, const py::object& h0_object,
                        const py::object& c0_object, int n_threads, const SharedCache& cache,
                        const Dropout& masks) {
    PackedBatch& batch = memory.batch;
    assign_batch(batch, n_active, n_sequences);
    memory.starts = starts_of(starts_object, batch);
    const bool packed = memory.starts.empty();
    const auto x = as_array<Scalar>(x_object, "x", {batch.n_rows(), stack_.input_size()});
    const States h0 = states_of(stack_, h0_object, "h0", n_sequences);
    const States c0 = cell_states_of(stack_, c0_object, "c0", n_sequences);
    const int threads = useful_threads(multiply_adds(batch), n_threads);
    assign_parts(memory.parts, batch,
                 cache != nullptr ? stack_.gradient_parts(batch) : stack_.parts(batch, threads));
    for (Part& part : memory.parts) {
      stack_.reserve(part.workspace, part.batch, cache != nullptr, masks);
      if (packed) continue;
      part.x.reserve(checked_product(part.batch.n_rows(), stack_.input_size()));
    }
    auto y = new_array<Scalar>({batch.n_rows(), stack_.output_size()});
    Scalar* to = y.mutable_data();
    const Scalar* from = x.data();
    {
      const py::gil_scoped_release release;
      run_with_workers(threads, [&](Workers& workers) {
        each_part(memory.parts, workers, [&](Part& part, Workers& its_workers) {
          const Index first = part.batch.first_sequence();
          const Index* starts = memory.starts.data() + first;
          const auto start = [&](Index n_begin, Index n_end) {
            for (Index l = 0; l < stack_.n_layers(); ++l) {
              stack_.layer(l).set_initial_state(layer_of(part, l), part.batch,
                                                data_of(h0, l, first), data_of(c0, l, first),
                                                n_begin, n_end);
            }
            if (packed) return;
            pack_sequences(part.batch, starts, from, stack_.input_size(), part.x.data(),
                           stack_.input_size(), n_begin, n_end);
          };
          const auto finish = [&](Index n_begin, Index n_end) {
            if (packed) {
              stack_.get_output(part.workspace, part.batch, to, n_begin, n_end);
            } else {
              const BatchRows<const Scalar> rows = stack_.output(part.workspace, part.batch);
              unpack_sequences(part.batch, starts, rows.data, rows.stride, to, stack_.output_size(),
                               n_begin, n_end);
            }
          };
          const BatchRows<const Scalar> rows{packed ? from : part.x.data(), stack_.input_size(),
                                             packed};
          stack_.forward(part.batch, rows, masks.of_part(first), part.workspace, its_workers, start,
                         finish);
        });
      });
    }
    const auto [h_n, c_n] =
        state_lists(stack_, memory, n_sequences, &RecurrentLayer<Scalar>::get_final_state);
    py::object cache_object = py::none();
    if (cache != nullptr) {
      cache->x = x;
      cache_object = py::cast(cache);
    }
    return py::make_tuple(y, h_n, c_n, cache_object);
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
  WorkspacePool<StackStep<Scalar>> steps_;  // after the stack: they end before it
};

template <class Scalar>
void bind(py::module_& module, const char* name, const char* cache_name) {
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
           py::arg("starts") = py::none(), py::arg("seed") = py::none(),
           py::arg("samples") = py::none(),
           "y (R, D H), h_n and c_n per layer (N, H), and a cache or None. Rows of x, y and their "
           "gradients are packed, or sequence after sequence where starts (N,) says at which row "
           "each begins.")
      .def("backward", &Handle::backward, py::arg("cache"), py::arg("dy"), py::arg("dh_n"),
           py::arg("dc_n"), py::kw_only(), py::arg("need_dx"), py::arg("n_threads"),
           "dx (R, I) or None, dh_0 and dc_0 per layer (N, H), and the gradient (P,).")
      .def("gates", &Handle::gates, py::arg("cache"), py::arg("layer"),
           "Gates (R, G, H), cell states or None, and hidden states (R, H) of a layer.")
      .def("state_gradient_norms", &Handle::state_gradient_norms, py::arg("cache"), py::arg("dy"),
           py::arg("dh_n"), py::arg("dc_n"), py::kw_only(), py::arg("layer"), py::arg("n_threads"),
           "Norms (N + R) of the gradients of h and c of a layer: initial states, then all steps.")
      .def("step", &Handle::step, py::arg("x"), py::arg("h"), py::arg("c"), py::arg("h_out"),
           py::arg("c_out"), py::arg("n_threads"),
           "One time step, from x (N, I) and states (L, N, H) to states; y (N, H) or None.");
}

}  // namespace

void bind_stack(py::module_& module) {
  bind<float>(module, "RecurrentStackFloat32", "RecurrentCacheFloat32");
  bind<double>(module, "RecurrentStackFloat64", "RecurrentCacheFloat64");
}

}  // namespace lstmcore::binding
