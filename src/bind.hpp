// One function per concept that is bound; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

#include "arrays.hpp"
#include "base/workspace_pool.hpp"
#include "network/network.hpp"
#include "network/parameter_layout.hpp"

namespace lstmcore::binding {

void bind_config(pybind11::module_& module);
void bind_stack(pybind11::module_& module);
void bind_network(pybind11::module_& module);
void bind_trainer(pybind11::module_& module);

// Throws std::invalid_argument for an option or a value that no cell has.
CellSpec cell_from(const pybind11::dict& options);
// ("name", alpha, beta)
ActivationSpec activation_from(const pybind11::handle& value);

// [(name, shape, offset), ...] with tuples for shapes.
pybind11::list layout_list(const std::vector<ParameterEntry>& entries);

// A network as Python holds it: packed weights, whether there are any yet, and working memory.
template <class Scalar>
struct NetworkHandle {
  NetworkHandle(const NetworkSpec& spec, const Kernels& kernels) : network(spec, kernels) {}
  Network<Scalar> network;
  AlignedBuffer<Scalar> tables;  // of embeddings, which the network reads where they lie
  bool has_parameters = false;
  WorkspacePool<NetworkWorkspace<Scalar>> workspaces;
};

// Throws std::invalid_argument unless in the rows [begin, end) columns of tokens hold nothing else.
template <class Scalar>
void require_tokens(const Network<Scalar>& network, const Array<Scalar>& rows, const char* name,
                    Index begin, Index end) {
  if (!network.embeddings().any()) return;
  const Scalar* first = rows.data() + begin * network.spec().n_columns();
  const BadToken bad = network.embeddings().find_bad_token(first, end - begin);
  if (bad.row < 0) return;
  throw std::invalid_argument("row " + std::to_string(begin + bad.row) + " of " + name +
                              " holds no token of column " + std::to_string(bad.column));
}

// The same unless a sequence of that length, from row `begin` on, lies in them and is right.
template <class Scalar>
void require_rows(const Network<Scalar>& network, const Array<Scalar>& rows, const char* name,
                  Index begin, Index length) {
  const Index n_rows = rows.shape(0);
  if (begin < 0 || begin > n_rows || length > n_rows - begin) {
    throw std::invalid_argument("begins has " + std::to_string(begin) + " for a sequence of " +
                                std::to_string(length) + " steps, but " + name + " has " +
                                std::to_string(n_rows) + " rows");
  }
  require_tokens(network, rows, name, begin, begin + length);
}

}  // namespace lstmcore::binding
