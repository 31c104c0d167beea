#include "kernels/kernel_table.hpp"
#include "kernels/vec_avx512.hpp"
#include "kernels/activations.inc"
#include "kernels/activations_more.inc"
#include "kernels/ahead.inc"
#include "kernels/blocking.inc"
#include "kernels/cell_masks.inc"
#include "kernels/cell_rows.inc"
#include "kernels/cell_sums.inc"
#include "kernels/cell_tile.inc"
#include "kernels/cells/gru.inc"
#include "kernels/cells/gru_reset_before.inc"
#include "kernels/cells/lstm.inc"
#include "kernels/cells/lstm_norm.inc"
#include "kernels/cells/lstm_norm_back.inc"
#include "kernels/cells/lstm_variant.inc"
#include "kernels/cells/rnn.inc"
#include "kernels/mask_row.inc"
#include "kernels/optimizer.inc"
#include "kernels/outer_accumulate.inc"
#include "kernels/panel_gemm.inc"
#include "kernels/transpose.inc"

#include "kernels/table.inc"

namespace lstmcore {
const Kernels kAvx512Kernels = {"avx512", VecFloat32::kLanes, kTable<VecFloat32>,
                                kTable<VecFloat64>};
}  // namespace lstmcore
