// The memory of one recurrent layer for a batch.
#pragma once

#include <vector>

#include "base/aligned_buffer.hpp"
#include "layers/cell_spec.hpp"
#include "layers/gate_group.hpp"
#include "layers/layer_norm.hpp"

namespace lstmcore {

// The masks of training; what a cell has none of stays empty. N sequences, R rows, Hb blocks of B
// hidden units, Pp the padded width of h.
template <class Scalar>
struct LayerMasks {
  bool drawn = false;               // else nothing is dropped, and zoneout goes by its expectation
  AlignedBuffer<Scalar> hidden;     // (N, Pp) multiplies h_{t-1} on its way into W_hh
  AlignedBuffer<Scalar> candidate;  // [Hb][R][B] multiplies the candidate
  AlignedBuffer<Scalar> zoneout_hidden;  // (R, Pp) 1 where a unit of h_t stays what it was, else 0
  AlignedBuffer<Scalar> zoneout_cell;    // [Hb][R][B] the same of c_t
};

// What a forward pass begins with, and what it leaves.
struct ForwardPlan {
  bool keep = false;        // what BPTT needs
  bool from_zeros = false;  // the initial states will be zeros, and what they multiply is left out
};

// What a batch leaves in memory. Hp = Hb B; Pp is Hp where there is no projection. What a cell has
// no use for stays empty.
template <class Scalar>
struct LayerWorkspace {
  AlignedBuffer<Scalar> h;  // (N + R, Pp) history: initial states, then every h_t
  AlignedBuffer<Scalar> c;  // [Hb][N + R][B] history; in inference [Hb][N][B], the running state
  AlignedBuffer<Scalar> new_c;     // as c: every c_t before zoneout, where it is asked for again
  AlignedBuffer<Scalar> tanh_c;    // [Hb][R][B]
  AlignedBuffer<Scalar> reset;     // (R, Hp) r h_{t-1}; in inference (N, Hp)
  AlignedBuffer<Scalar> m;         // (R, Hp) what a projection multiplies; in inference (N, Hp)
  AlignedBuffer<Scalar> masked;    // (R, Pp) what is left of h_{t-1} where W_hh multiplies it
  AlignedBuffer<Scalar> dh;        // (N, Pp) gradient of h_n, in the end of h_0
  AlignedBuffer<Scalar> dc;        // [Hb][N][B] gradient of c_n, in the end of c_0
  AlignedBuffer<Scalar> dreset;    // (N, Hp) gradient of r h_{t-1}
  AlignedBuffer<Scalar> dwhole;    // (R, Pp) of a projection: whole gradient of every h_t
  AlignedBuffer<Scalar> dm;        // (N, Hp) gradient of m_t
  AlignedBuffer<Scalar> dmasked;   // (N, Pp) gradient of a row of `masked`
  AlignedBuffer<Scalar> dcarried;  // (N, Pp) gradient of h_{t-1} past the cell, by zoneout
  LayerMasks<Scalar> masks;
  std::vector<GroupWorkspace<Scalar>> groups;
  NormWorkspace<Scalar> norm;
  bool keeps_history = false;  // whether there is what BPTT needs
  bool from_zeros = false;     // whether h_0 is known to be zeros
  bool needs_dstate = true;    // whether the gradient of the initial state is asked for

  // Whether somebody reads the gradient that BPTT hands on from step t.
  bool hands_on(Index t) const noexcept { return t > 0 || needs_dstate; }
  // c as the cells made it, before zoneout.
  const Scalar* made_c(const CellSpec& cell) const noexcept {
    return (cell.keeps_new_c() ? new_c : c).data();
  }
};

// The gradient of the parameters of a layer, in the making: gradient panels of each group, then
// those of the peepholes, the projection and layer normalisation, where there are some.
template <class Scalar>
struct LayerGradients {
  std::vector<AlignedBuffer<Scalar>> panels;
};

// Which of these panels a range of gradients is summed in: the number of the first, and the columns
// that those of gates have, from first_column on; all where n_columns is 0.
struct SumPlace {
  Index panel = 0;
  Index first_column = 0;
  Index n_columns = 0;
};
inline constexpr SumPlace kWholePanels{};

}  // namespace lstmcore
