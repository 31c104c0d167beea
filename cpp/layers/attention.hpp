// Additive attention over the steps of a sequence. Bahdanau, Cho, Bengio: Neural machine
// translation by jointly learning to align and translate (2015), with a learnt query as in Yang et
// al.: Hierarchical attention networks for document classification (2016).
//
//   u_t = tanh(W h_t + b)    e_t = q · u_t    a_t = exp(e_t) / Σ exp(e_k)    s = Σ a_t h_t
//
//   de_t = a_t (ds · h_t − ds · s)    dv_t = de_t q (1 − u_t²)    dh_t = a_t ds + dv_t W
//   dq = Σ de_t u_t    dW = Σ dv_t h_tᵀ    db = Σ dv_t
//
// s is summed up step by step, with exponentials relative to the highest score so far: that is
// stable, and one more step costs no look at the steps before it.
//
// Parameters in a flat buffer: W (H, H), b (H), q (H). Hp is H padded to the block; R rows, N
// sequences.
#pragma once

#include "layers/dense.hpp"
#include "layers/packed_batch.hpp"

namespace lstmcore {

// What a part of a batch leaves in memory, for the next one to overwrite.
template <class Scalar>
struct AttentionWorkspace {
  AlignedBuffer<Scalar> hidden;   // (R, Hp) u_t; backward: dv_t
  AlignedBuffer<Scalar> scores;   // (R) e_t
  AlignedBuffer<Scalar> dscores;  // (R) de_t
  AlignedBuffer<Scalar> sums;     // (N, 2) the highest e_t, and Σ exp(e_t − highest)
  AlignedBuffer<Scalar> pooled;   // (N, Hp) s
};

template <class Scalar>
class Attention {
 public:
  static constexpr Index B = kBlock<Scalar>;
  // What a sequence that comes in step by step carries beside Σ exp(e_t − highest) h_t: `sums`.
  static constexpr Index kCarried = 2;

  Attention(Index n_features, const KernelTable<Scalar>& kernels);

  Index n_parameters() const noexcept { return projection_.n_parameters() + n_features_; }

  void reserve_panels();
  void pack(const Scalar* parameters) noexcept;

  void reserve_sequences(AttentionWorkspace<Scalar>& w, Index n_sequences) const;
  void reserve_rows(AttentionWorkspace<Scalar>& w, Index rows) const;
  // The gradient of the parameters in the making: of W and b in panels, then of q (Hp).
  Index gradient_size() const noexcept { return projection_.gradient_panel_size() + width(); }

  // For the sequences [n_begin, n_end): from h (R, Hp) to pooled (N, Hp), zeros where a sequence
  // has no step.
  void forward(const PackedBatch& batch, const Scalar* h, AttentionWorkspace<Scalar>& w,
               Scalar* pooled, Index n_begin, Index n_end) const noexcept;
  // The same in pieces of time: u_t and e_t; then all steps added to what the sequences carry,
  // which begin at steps `begins` of them (null: at 0); and after the last piece, s.
  void score(const PackedBatch& batch, const Scalar* h, AttentionWorkspace<Scalar>& w,
             Index n_begin, Index n_end) const noexcept;
  void add(const PackedBatch& batch, const Index* begins, const Scalar* h,
           AttentionWorkspace<Scalar>& w, Scalar* pooled, Index n_begin,
           Index n_end) const noexcept;
  void end(const PackedBatch& whole, AttentionWorkspace<Scalar>& w, Scalar* pooled, Index n_begin,
           Index n_end) const noexcept;
  // The weights a_t of these sequences, into weights (R) of the whole batch.
  void get_weights(const PackedBatch& batch, const AttentionWorkspace<Scalar>& w, Scalar* weights,
                   Index n_begin, Index n_end) const noexcept;
  // The next step of one sequence, number n_steps from 1: h and features (Hp), u (Hp) is scratch;
  // carried (H + 2) is what the step before left.
  void step(const Scalar* h, Index n_steps, Scalar* u, Scalar* carried,
            Scalar* features) const noexcept;
  // More steps of one sequence, h (n, Hp), into what it carries, after n_steps before them.
  void steps(const Scalar* h, Index n, Index n_steps, AttentionWorkspace<Scalar>& w,
             Scalar* carried) const noexcept;

  // Backward in two halves, for a batch or one piece of it that has its scores: for the sequences
  // [n_begin, n_end) from dpooled (N, Hp) to de_t and the first part of dy (R, Hp); then for all
  // rows the rest of dy, and added to the gradient of the parameters, unless it is null, the sums
  // over runs of BPTT of at most rows_of_run rows, the last one first.
  void backward(const PackedBatch& batch, const Scalar* h, const Scalar* dpooled,
                AttentionWorkspace<Scalar>& w, Scalar* dy, Index n_begin,
                Index n_end) const noexcept;
  void finish_backward(const PackedBatch& batch, const Scalar* h, Index rows_of_run,
                       AttentionWorkspace<Scalar>& w, Scalar* dy, Scalar* sums,
                       Workers& workers) const noexcept;
  // The sum over the parts of a batch, in their order; what is in `parts` is used up.
  void get_gradient(const std::vector<Scalar*>& parts, Scalar* gradient,
                    Workers& workers) const noexcept;

 private:
  Index width() const noexcept { return projection_.padded_features(); }
  void query_gradient(const PackedBatch& batch, Index rows_of_run,
                      const AttentionWorkspace<Scalar>& w, Scalar* gradient,
                      Workers& workers) const noexcept;
  // u and e of rows.
  void score_rows(const Scalar* h, Index rows, Scalar* hidden, Scalar* scores) const noexcept;

  Index n_features_;
  Dense<Scalar> projection_;
  AlignedBuffer<Scalar> query_;  // (Hp)
  const KernelTable<Scalar>* kernels_;
};

}  // namespace lstmcore
