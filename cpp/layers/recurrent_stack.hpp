// Recurrent layers of one cell on top of each other, each perhaps with a second one beside it that
// reads from the end to the start; with dropout between them, and residual connections.
//
// A level is a layer, or both of them. It reads what the level below puts out, after dropout; it
// puts out h of both side by side (Schuster and Paliwal 1997; Graves and Schmidhuber 2005), and
// with residual connections what it reads, before dropout, is added (Wu et al. 2016).
#pragma once

#include <vector>

#include "layers/dropout.hpp"
#include "layers/recurrent_layer.hpp"
#include "layers/stack_rows.hpp"
#include "layers/stack_spec.hpp"

namespace lstmcore {

// W is the width of what the level puts out, V of what it reads, both padded to the block.
template <class Scalar>
struct LevelWorkspace {
  AlignedBuffer<Scalar> output;    // (N + R, W), the N of zeros, where that is not h of its layer
  AlignedBuffer<Scalar> dropped;   // (R, V) what it reads, when dropout is active
  AlignedBuffer<Scalar> reversed;  // (R, V) the same from the end to the start; V not padded in
                                   // the lowest level
  AlignedBuffer<Scalar> dx;        // (R, V) gradient of what it reads, above the lowest level
  AlignedBuffer<Scalar> reversed_dx;  // (R, V)
  AlignedBuffer<Scalar> dy[2];        // (R, Hp) gradient of h of both layers
};

template <class Scalar>
struct StackWorkspace {
  std::vector<LayerWorkspace<Scalar>> layers;
  std::vector<LevelWorkspace<Scalar>> levels;
};

// The gradient of the parameters, in the making, of one part of a batch.
template <class Scalar>
struct StackGradients {
  std::vector<LayerGradients<Scalar>> layers;
  Scalar* direct = nullptr;  // where the sums go without a detour, if they do
  bool begun = false;        // whether something stands there
};

template <class Scalar>
class RecurrentStack {
 public:
  RecurrentStack(const StackSpec& spec, const KernelTable<Scalar>& kernels);

  // Layers in the order of their parameters: the lowest level first, in a level forward first.
  Index n_layers() const noexcept { return static_cast<Index>(layers_.size()); }
  Index n_levels() const noexcept { return spec_.n_levels(); }
  const RecurrentLayer<Scalar>& layer(Index l) const {
    return layers_[static_cast<std::size_t>(l)];
  }
  const StackSpec& spec() const noexcept { return spec_; }
  const CellSpec& cell() const noexcept { return spec_.cell; }
  // Whether a layer reads from the end to the start: its rows are in reverse order.
  bool is_reversed(Index l) const noexcept { return spec_.bidirectional && l % 2 == 1; }
  Index input_size() const noexcept { return spec_.input_size; }
  // Units that the stack puts out, and the width of their rows in memory.
  Index output_size() const noexcept { return output_size(n_levels() - 1); }
  Index padded_output_size() const noexcept { return padded_output_size(n_levels() - 1); }
  Index n_parameters() const noexcept { return n_parameters_; }

  void reserve_panels();
  void pack(const Scalar* parameters, Workers& workers) noexcept;

  void reserve(StackWorkspace<Scalar>& w, const PackedBatch& batch, const ForwardPlan& plan,
               const Dropout& dropout) const;
  // needs_dstate: the gradient of the initial states is asked for.
  void reserve_gradients(StackWorkspace<Scalar>& w, const PackedBatch& batch,
                         bool needs_dstate) const;
  void reserve_sums(StackGradients<Scalar>& sums, int n_threads) const;

  // How a batch is cut into parts, each in memory of its own: no thread writes near what another
  // one works on, which costs dearly where cores don't share a cache. In inference a part for each
  // thread. For a gradient the parts depend on the batch alone, as its sum over them does; where
  // the weights are large the batch is one part, and all threads work on it.
  std::vector<Index> parts(const PackedBatch& batch, int n_threads) const;
  std::vector<Index> gradient_parts(const PackedBatch& batch) const;

  // All layers and steps of a part: before(n_begin, n_end) sets the initial states of some
  // sequences, after(n_begin, n_end) finds them done. x (R, I).
  template <class Before, class After>
  void forward(const PackedBatch& batch, const BatchRows<const Scalar>& x, const Dropout& dropout,
               StackWorkspace<Scalar>& w, Workers& workers, Before&& before, After&& after) const {
    if (works_together(batch, workers.size()) || parts_directions(batch, workers.size())) {
      before(Index{0}, batch.n_sequences());
      forward_together(batch, x, dropout, w, workers);
      each_run(batch, workers, after);
      return;
    }
    each_run(batch, workers, [&](Index n_begin, Index n_end) {
      before(n_begin, n_end);
      forward_apart(batch, x, dropout, w, n_begin, n_end);
      after(n_begin, n_end);
    });
  }
  // What the stack puts out: behind N rows of initial states (N + R, W), those of h or zeros; or
  // into y (R, output_size) of the whole batch. output_is_h: it is h of the top layer itself, and
  // its gradient may have rows without padding.
  bool output_is_h() const noexcept { return !assembles(n_levels() - 1); }
  const Scalar* output_history(const StackWorkspace<Scalar>& w) const noexcept {
    return output_is_h() ? w.layers.back().h.data() : w.levels.back().output.data();
  }
  BatchRows<const Scalar> output(const StackWorkspace<Scalar>& w,
                                 const PackedBatch& batch) const noexcept {
    return output(n_levels() - 1, batch, w);
  }
  void get_output(const StackWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* y,
                  Index n_begin, Index n_end) const noexcept;
  // Initial, final and intermediate states of all layers on their own, for windows over time:
  // `state_size` numbers for each of n_rows sequences, of which the batch has the first.
  Index state_size() const noexcept;
  void set_initial_states(StackWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* states,
                          Index n_rows, Index n_begin, Index n_end) const noexcept;
  void get_final_states(const StackWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* states,
                        Index n_rows) const noexcept;
  void set_state_gradients(StackWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* gradients,
                           Index n_rows) const noexcept;
  void get_state_gradients(const StackWorkspace<Scalar>& w, const PackedBatch& batch,
                           Scalar* gradients, Index n_rows) const noexcept;
  // Where h of the top layer stands in them: (n_rows, P).
  Scalar* top_hidden(Scalar* states, Index n_rows) const noexcept {
    const RecurrentLayer<Scalar>& top = layers_.back();
    const Index of_top =
        top.output_size() + (cell().has_cell_state() ? top.hidden_size() : Index{0});
    return states + n_rows * (state_size() - of_top);
  }

  // The run of BPTT that ends before step t_end, the same for all layers.
  Steps steps_before(const PackedBatch& batch, Index t_end) const noexcept {
    return batch.steps_before(t_end, rows_of_run_);
  }
  Index rows_of_run() const noexcept { return rows_of_run_; }
  // Nothing is added up yet; `gradient` is what get_gradients will be given.
  void clear(StackGradients<Scalar>& sums, Scalar* gradient) const noexcept;
  // From the state gradients in w and dy (R, W, or null) to dx (R, I padded to
  // the block, or null), and added to the sums, unless they are null. One worker for a part. With
  // `norms` it stops below the layer that they are of.
  void backward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                const BatchRows<const Scalar>& dy, const BatchRows<Scalar>& dx,
                const Dropout& dropout, StackWorkspace<Scalar>& w, StackGradients<Scalar>* sums,
                Workers& workers, const GradientNorms* norms = nullptr) const;
  // The gradient of the parameters: the sum over the parts, in their order.
  void get_gradients(const std::vector<StackGradients<Scalar>*>& parts, Scalar* gradient,
                     Workers& workers) const;

  // Multiply-adds of the matrix products for one row of input, forward.
  double multiply_adds_per_row() const noexcept;
  double weight_bytes() const noexcept { return multiply_adds_per_row() * sizeof(Scalar); }

 private:
  // Whether all workers should go through a part together, step by step, and not each with
  // sequences of its own; or two of them with a direction each. The bits are the same.
  bool works_together(const PackedBatch& batch, int n_threads) const noexcept;
  bool parts_directions(const PackedBatch& batch, int n_threads) const noexcept;
  void forward_together(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                        const Dropout& dropout, StackWorkspace<Scalar>& w, Workers& workers) const;
  void forward_apart(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                     const Dropout& dropout, StackWorkspace<Scalar>& w, Index n_begin,
                     Index n_end) const noexcept;
  void backward_layer(Index l, const PackedBatch& batch, const BatchRows<const Scalar>& input,
                      const BatchRows<const Scalar>& dy, const BatchRows<Scalar>& dx,
                      LayerWorkspace<Scalar>& w, StackGradients<Scalar>* sums, bool together,
                      Workers& workers, const GradientNorms* norms) const;
  // Where the parameters of a layer begin.
  Index parameter_offset(Index l) const noexcept {
    Index offset = 0;
    for (Index k = 0; k < l; ++k) offset += layer(k).n_parameters();
    return offset;
  }
  // Whether the gradient is as large that a batch is one part, and nothing is copied.
  bool sums_directly() const noexcept { return weight_bytes() > kLargeWeights; }

  // Whether a level puts out something else than h of its one layer.
  bool is_residual(Index level) const noexcept { return spec_.residual && level > 0; }
  bool assembles(Index level) const noexcept { return spec_.bidirectional || is_residual(level); }
  // The layer of a level that reads in a direction, 0 forward.
  Index layer_of(Index level, Index direction) const noexcept {
    return level * spec_.n_directions() + direction;
  }
  Index output_size(Index level) const noexcept {
    return spec_.n_directions() * layer(layer_of(level, 0)).output_size();
  }
  Index padded_output_size(Index level) const noexcept {
    return round_up(output_size(level), kBlock<Scalar>);
  }
  Index padded_input_size(Index level) const noexcept {
    return round_up(layer(layer_of(level, 0)).input_size(), kBlock<Scalar>);
  }
  BatchRows<const Scalar> output(Index level, const PackedBatch& batch,
                                 const StackWorkspace<Scalar>& w) const noexcept;
  // What a level reads: before dropout, after it, and as its layer `direction` does.
  BatchRows<const Scalar> below(Index level, const PackedBatch& batch,
                                const BatchRows<const Scalar>& x,
                                const StackWorkspace<Scalar>& w) const noexcept;
  BatchRows<const Scalar> input(Index level, Index direction, const PackedBatch& batch,
                                const BatchRows<const Scalar>& x, const Dropout& dropout,
                                const StackWorkspace<Scalar>& w) const noexcept;
  // For some sequences: what a level reads from what the one below puts out; what it puts out from
  // h of its layers. And the gradients: of h from dy; of what it reads from those of its layers.
  void prepare(Index level, const PackedBatch& batch, const BatchRows<const Scalar>& x,
               const Dropout& dropout, StackWorkspace<Scalar>& w, Index n_begin,
               Index n_end) const noexcept;
  void assemble(Index level, const PackedBatch& batch, const BatchRows<const Scalar>& x,
                StackWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void split_gradient(Index level, const PackedBatch& batch, const BatchRows<const Scalar>& dy,
                      LevelWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void join_gradient(Index level, const PackedBatch& batch, const BatchRows<const Scalar>& dy,
                     const BatchRows<Scalar>& dx, const Dropout& dropout,
                     const LevelWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;

  static constexpr double kLargeWeights = 4 << 20;  // bytes

  // body(layer, its number, h, c) for all layers.
  template <class Body>
  void each_state(Scalar* states, Index n_sequences, Body&& body) const;

  StackSpec spec_;
  const KernelTable<Scalar>* kernels_;
  std::vector<RecurrentLayer<Scalar>> layers_;
  Index n_parameters_ = 0;
  Index rows_of_run_ = 0;
};

// One thread where a second would cost more than it brings.
int useful_threads(double multiply_adds, int n_threads) noexcept;

}  // namespace lstmcore
