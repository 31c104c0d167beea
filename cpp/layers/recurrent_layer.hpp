// One recurrent layer over a packed batch: forward, BPTT and weight gradients, for every cell.
// Parameters in a flat buffer, array behind array as cell_arrays (cell_spec.hpp) lists them.
#pragma once

#include <optional>
#include <vector>

#include "base/parallel.hpp"
#include "kernels/kernel_table.hpp"
#include "layers/cell_spec.hpp"
#include "layers/dropout.hpp"
#include "layers/gate_group.hpp"
#include "layers/gradient_norms.hpp"
#include "layers/layer_norm.hpp"
#include "layers/layer_workspace.hpp"
#include "layers/packed_batch.hpp"
#include "layers/projection.hpp"

namespace lstmcore {

template <class Scalar>
class RecurrentLayer {
 public:
  static constexpr Index B = kBlock<Scalar>;
  // `with_dx` where backward is asked for dx: packing W_ih for it is spared elsewhere.
  RecurrentLayer(const CellSpec& cell, Index input_size, Index hidden_size, bool with_dx,
                 const KernelTable<Scalar>& kernels);

  Index input_size() const noexcept { return input_size_; }
  Index hidden_size() const noexcept { return hidden_size_; }
  Index padded_hidden_size() const noexcept { return n_blocks_ * B; }
  Index n_blocks() const noexcept { return n_blocks_; }
  // Width of h_t.
  Index output_size() const noexcept { return output_size_; }
  Index padded_output_size() const noexcept { return n_output_blocks_ * B; }
  Index n_parameters() const noexcept { return n_parameters_; }
  const CellSpec& cell() const noexcept { return cell_; }

  // Copies parameters into the panels that the kernels read.
  void reserve_panels();
  void pack(const Scalar* parameters, Workers& workers) noexcept;

  // Memory for a batch; `masks` where they are drawn.
  void reserve(LayerWorkspace<Scalar>& w, const PackedBatch& batch, const ForwardPlan& plan,
               bool masks) const;
  // The masks of the sequences [n_begin, n_end) in this layer, which has a number of its own.
  void draw_masks(const PackedBatch& batch, const Dropout& dropout, Index number,
                  LayerWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  void reserve_gradients(LayerWorkspace<Scalar>& w, const PackedBatch& batch) const;
  // Room for whole panels of all blocks, for accumulate_gradients; or for what add_gradients sums
  // at a time, for that many threads.
  void reserve_sums(LayerGradients<Scalar>& sums, bool whole, Index n_threads) const;

  // States between user layout, h (N, P) and c (N, H), and workspace; null means zeros. Without a
  // cell state, c and its gradient are not looked at.
  void set_initial_state(LayerWorkspace<Scalar>& w, const PackedBatch& batch, const Scalar* h0,
                         const Scalar* c0, Index n_begin, Index n_end) const noexcept;
  void get_final_state(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* h_n,
                       Scalar* c_n) const noexcept;
  void set_state_gradient(LayerWorkspace<Scalar>& w, const PackedBatch& batch, const Scalar* dh_n,
                          const Scalar* dc_n, Index n_begin, Index n_end) const noexcept;
  void get_state_gradient(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* dh_0,
                          Scalar* dc_0) const noexcept;

  // Copies for whoever looks inside, before BPTT: gates (R, n_shown_gates, H) in the order of
  // the parameters, cell and hidden states (R, H), R of the whole batch; `reversed` where the rows
  // of the layer are those of sequences read from the end.
  void get_gates(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, bool reversed,
                 Scalar* gates, Scalar* c, Scalar* h) const noexcept;

  // All time steps of the sequences [n_begin, n_end). x (R, I).
  void forward(const PackedBatch& batch, const BatchRows<const Scalar>& x,
               LayerWorkspace<Scalar>& w, Index n_begin, Index n_end) const noexcept;
  // The only step of a batch in inference, x (N, I), for the hidden blocks [block_begin,
  // block_end), and the state after it of these. Only where no product multiplies what another has
  // made and no row is seen as a whole.
  bool can_share_step() const noexcept { return groups_.size() == 1 && !projection_ && !norm_; }
  void step(const PackedBatch& batch, const Scalar* x, LayerWorkspace<Scalar>& w, Index block_begin,
            Index block_end, bool descending) const noexcept;
  void get_stepped_state(const LayerWorkspace<Scalar>& w, const PackedBatch& batch,
                         Index block_begin, Index block_end, Scalar* h_n,
                         Scalar* c_n) const noexcept;
  // The rows that a run of BPTT should have at most. The runs depend on the batch alone, and so
  // does the order of every sum.
  Index rows_of_run() const noexcept;
  // dy (R, Pp); dx (R, I padded to B) is written; null where there is none.
  void backward(const PackedBatch& batch, Steps steps, const BatchRows<const Scalar>& dy,
                const BatchRows<Scalar>& dx, LayerWorkspace<Scalar>& w, Index n_begin,
                Index n_end) const noexcept;
  // Before BPTT goes through step t: norms of the gradients of the states after it. t = -1, when it
  // is done: of the initial states.
  void note_gradients(const PackedBatch& batch, Index t, const BatchRows<const Scalar>& dy,
                      const LayerWorkspace<Scalar>& w, const GradientNorms& norms) const noexcept;
  void clear(LayerGradients<Scalar>& sums) const noexcept;
  // Adds, for each parameter, one sum over the rows of these steps in ascending order.
  void accumulate_gradients(const PackedBatch& batch, Steps steps, const BatchRows<const Scalar>& x,
                            const LayerWorkspace<Scalar>& w, LayerGradients<Scalar>& sums,
                            Workers& workers) const noexcept;
  // The sum over the parts of a batch, in their order; what is in `parts` is used up.
  void get_gradients(const std::vector<LayerGradients<Scalar>*>& parts, Scalar* gradient,
                     Workers& workers) const noexcept;
  // The same sums in one go, after BPTT has passed all steps, block after block straight to where
  // the parameters stand: the panels of a large layer would take as much memory again. `begins`
  // where they begin at zero, and not at what stands there.
  void add_gradients(const PackedBatch& batch, const BatchRows<const Scalar>& x,
                     const LayerWorkspace<Scalar>& w, LayerGradients<Scalar>& scratch,
                     Index rows_of_run, bool begins, Scalar* gradient,
                     Workers& workers) const noexcept;

  // Forward and backward for the whole batch, all workers on one step at a time, each with some of
  // the hidden units: for few sequences, and for weights that no thread can keep in its own cache.
  void forward_together(const PackedBatch& batch, const Scalar* x, Index x_stride,
                        LayerWorkspace<Scalar>& w, Workers& workers) const;
  void backward_together(const PackedBatch& batch, Steps steps, const BatchRows<const Scalar>& dy,
                         const BatchRows<Scalar>& dx, LayerWorkspace<Scalar>& w,
                         Workers& workers) const noexcept;

  // h_t of the sequences [n_begin, n_end) into y (R, P) of the whole batch.
  void get_output(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Scalar* y,
                  Index n_begin, Index n_end) const noexcept;
  // h_t of all rows (R, Pp).
  const Scalar* output(const LayerWorkspace<Scalar>& w, const PackedBatch& batch) const noexcept {
    return w.h.data() + batch.n_sequences() * padded_output_size();
  }

 private:
  // About as many rows' inputs forward_together multiplies at once: their sums stay in the cache.
  static constexpr Index kRowsTogether = 96;
  // What add_gradients sums at a time over all rows: these sums stay in the second cache, and rows
  // of x and h are packed once for many blocks. 4 blocks and all columns were 88 to 99 GFLOP/s for
  // H 512 to 4096, this is 105 to 110, of 117 (one core of a Zen 4, 2026-11).
  static constexpr Index kBlocksAtOnce = 16;
  static constexpr Index kColumnsAtOnce = 96;

  // One step of the sequences [n_begin, n_end) and one group: where everything is, for all blocks.
  CellForward<Scalar> forward_step(const PackedBatch& batch, LayerWorkspace<Scalar>& w,
                                   std::size_t group, Index t, Index n_begin,
                                   Index n_end) const noexcept;
  CellBackward<Scalar> backward_step(const PackedBatch& batch, const BatchRows<const Scalar>& dy,
                                     LayerWorkspace<Scalar>& w, std::size_t group, Index t,
                                     Index n_begin, Index n_end) const noexcept;
  // Multiply-adds of W_hh for one block of a group and that many rows; how many blocks a second
  // thread should at least get, when each takes so many.
  Index cell_work(std::size_t group, Index rows) const noexcept {
    return groups_[group].n_gates() * B * output_size_ * rows;
  }
  static Index blocks_worth_a_thread(Index multiply_adds) noexcept;
  // A step of the projection and back, for blocks of h or, back, of cells; the first is a multiple
  // of 4. In between, the whole gradient of h_t, from above and from t + 1, as far as it reaches
  // the cell; where nothing stands around a cell, it gathers that itself.
  void project(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
               Index n_end, Index block_begin, Index block_end) const noexcept;
  void gather_gradient(const PackedBatch& batch, const BatchRows<const Scalar>& dy,
                       LayerWorkspace<Scalar>& w, Index t, Index n_begin, Index n_end,
                       Index block_begin, Index block_end) const noexcept;
  void project_back(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                    Index n_end, Index block_begin, Index block_end) const noexcept;
  void reserve_masks(LayerWorkspace<Scalar>& w, const PackedBatch& batch) const;
  // What masks put around a cell, for blocks of h: what W_hh multiplies in the place of h_{t-1};
  // zoneout of h_t; and back, from the gradient of what W_hh multiplied to that of h_{t-1}.
  void mask_hidden(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                   Index n_end, Index block_begin, Index block_end) const noexcept;
  void zone_out(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                Index n_end, Index block_begin, Index block_end) const noexcept;
  void finish_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w, Index t, Index n_begin,
                       Index n_end, Index block_begin, Index block_end) const noexcept;
  bool drops_hidden(const LayerWorkspace<Scalar>& w) const noexcept {
    return w.masks.drawn && cell_.hidden_dropout > 0;
  }
  bool zones_out() const noexcept { return cell_.zoneout_hidden > 0; }
  // Whether gather_gradient and finish_gradient are called.
  bool gathers(const LayerWorkspace<Scalar>& w) const noexcept {
    return projection_ || zones_out() || (drops_hidden(w) && groups_.size() > 1);
  }
  bool finishes(const LayerWorkspace<Scalar>& w) const noexcept {
    return zones_out() || drops_hidden(w);
  }
  // The masks that the cell itself reads, from a row of the batch on.
  template <class Step>
  void set_masks(const PackedBatch& batch, const LayerWorkspace<Scalar>& w, Index row,
                 Step& step) const noexcept {
    if (!w.masks.drawn) return;
    step.mask_block_stride = batch.n_rows() * B;
    if (cell_.recurrent_dropout > 0) step.candidate_mask = w.masks.candidate.data() + row * B;
    if (cell_.zoneout_cell > 0) step.cell_zoneout = w.masks.zoneout_cell.data() + row * B;
  }
  // The gradient of what W_hh of a group multiplied at step t, for the blocks of it [block_begin,
  // block_end), the first a multiple of 4; dx of rows.
  void hidden_gradient(const PackedBatch& batch, LayerWorkspace<Scalar>& w, std::size_t group,
                       Index t, Index n_begin, Index n_end, Index block_begin,
                       Index block_end) const noexcept;
  void input_gradient(const PackedBatch& batch, const LayerWorkspace<Scalar>& w, Index row,
                      Index rows, Scalar* dx) const noexcept;
  GradientPanels<Scalar> panels_of(LayerGradients<Scalar>& sums, std::size_t k,
                                   const SumPlace& place) const noexcept;
  void accumulate_range(const PackedBatch& batch, Steps steps, const BatchRows<const Scalar>& x,
                        const LayerWorkspace<Scalar>& w, const GradientRange& range,
                        LayerGradients<Scalar>& sums, const SumPlace& place) const noexcept;

  Index cell_stride(const LayerWorkspace<Scalar>& w, const PackedBatch& batch) const noexcept {
    return (w.keeps_history ? batch.n_history_rows() : batch.n_sequences()) * B;
  }
  void get_gates_of_row(const LayerWorkspace<Scalar>& w, const PackedBatch& batch, Index row,
                        Index to, Scalar* gates, Scalar* c, Scalar* h) const noexcept;
  // The peepholes' gradients, as accumulate_range has those of the weights.
  void accumulate_peepholes(const PackedBatch& batch, Index row, Index rows, const Index* previous,
                            const LayerWorkspace<Scalar>& w, const GradientRange& range,
                            Scalar* panels) const noexcept;
  // Peepholes of a block, [n][B], from where they stand in the parameters.
  void copy_peepholes(const Scalar* parameters, Index block, Scalar* to) const noexcept;
  Index peephole_part() const noexcept { return cell_.n_peepholes() * B; }
  // The panels of a block in LayerGradients.
  std::size_t peephole_sum() const noexcept { return groups_.size(); }
  std::size_t projection_sum() const noexcept { return groups_.size() + (cell_.peephole ? 1 : 0); }
  std::size_t norm_sum() const noexcept { return projection_sum() + (projection_ ? 1 : 0); }
  std::size_t n_sums() const noexcept { return norm_sum() + (norm_ ? 1 : 0); }
  Index panel_size(std::size_t k, const SumPlace& place) const noexcept;
  // A panel, of gates the columns [begin, end), from where they stand in the parameters, and back.
  void pack_panel(std::size_t k, const Scalar* gradient, Index block, Index begin, Index end,
                  Scalar* panel) const noexcept;
  void unpack_panel(std::size_t k, const Scalar* panel, Index block, Index begin, Index end,
                    Scalar* gradient) const noexcept;
  // Columns of gradients that share out among workers: those of the gates, the cells of a block
  // that W_hr multiplies, then peepholes and layer normalisation.
  Index n_gradient_columns() const noexcept {
    return groups_.front().n_columns() + (projection_ ? B : 0) + (cell_.peephole || norm_ ? 1 : 0);
  }
  // Whether the group multiplies r h_{t-1}, which the group before it made.
  bool multiplies_reset(std::size_t group) const noexcept { return group > 0; }

  CellSpec cell_;
  Index input_size_, hidden_size_, output_size_;
  Index n_blocks_, n_output_blocks_, n_input_blocks_;
  Index n_parameters_ = 0;
  Index hidden_offset_ = 0;  // of W_hh in the parameters
  Index bias_offset_ = 0;
  Index peephole_offset_ = 0;
  Index projection_offset_ = 0;
  AlignedBuffer<Scalar> peepholes_;  // [Hb][n][B]
  CellOptions<Scalar> options_{};
  std::vector<GateGroup<Scalar>> groups_;
  std::optional<Projection<Scalar>> projection_;
  std::optional<LayerNorm<Scalar>> norm_;
};

}  // namespace lstmcore
