// Which kernels run: the best that the processor allows, or the one that the user names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace lstmcore {

// Compiled into this library, best first.
std::vector<const Kernels*> compiled_kernels();
// Those of them that this processor runs, best first; the scalar ones always.
const std::vector<const Kernels*>& available_kernels();

// The kernels of that name; an empty name means LSTMCORE_ISA, and without it the best. "+clock"
// behind a name asks for those with a clock around each (clock.hpp). Throws
// std::invalid_argument for a name that is unknown or that this processor can't run.
const Kernels& select_kernels(std::string_view name = {});

}  // namespace lstmcore
