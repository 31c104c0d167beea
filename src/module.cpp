// lstmcore._core: the C++ core for Python.

#include "bind.hpp"

// Nothing here is shared between calls but what the objects hold, and those lock what concurrent
// calls share: it needs no GIL and works in every interpreter.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used(),
                pybind11::multiple_interpreters::per_interpreter_gil()) {
  module.doc() = "LSTM networks in C++: stacks of layers, networks, and their training.";
  lstmcore::binding::bind_config(module);
  lstmcore::binding::bind_stack(module);
  lstmcore::binding::bind_network(module);
  lstmcore::binding::bind_trainer(module);
}
