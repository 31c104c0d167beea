// Columns of tokens: each is replaced, where it stands among the inputs, by a row of its table.
// Bengio et al.: A neural probabilistic language model (JMLR 2003). Tables in a flat buffer, one
// behind the other: (n_tokens, size). I columns of x, E inputs of the layers.
#pragma once

#include <vector>

#include "layers/packed_batch.hpp"

namespace lstmcore {

struct EmbeddingSpec {
  Index column;    // of x
  Index n_tokens;  // tokens are the integers from 0 to n_tokens - 1
  Index size;      // what one of them becomes
};

// A row of a matrix with values that are no tokens of their columns; row < 0 where there is none.
struct BadToken {
  Index row;
  Index column;
};

template <class Scalar>
class Embeddings {
 public:
  // Throws std::invalid_argument unless the columns ascend and exist and sizes are at least 1.
  Embeddings(Index n_columns, const std::vector<EmbeddingSpec>& specs);

  bool any() const noexcept { return !tables_.empty(); }
  Index output_size() const noexcept { return output_size_; }
  Index n_parameters() const noexcept { return n_parameters_; }

  // The tables are read where they lie, for as long as they are used.
  void use(const Scalar* parameters) noexcept { parameters_ = parameters; }

  // Every column of tokens must hold tokens: nothing below looks again. Where another thread writes
  // something else meanwhile, some row of the table is read, and no other memory.
  BadToken find_bad_token(const Scalar* x, Index n_rows) const noexcept;

  // Rows of x (.., I) to rows of inputs (.., E).
  void embed(const Scalar* x, Index n_rows, Scalar* inputs) const noexcept;
  // The same for the sequences [n_begin, n_end) of a part: from x (R, I) of the whole batch.
  void embed_part(const Scalar* x, const PackedBatch& part, Index n_begin, Index n_end,
                  Scalar* inputs) const noexcept;

  // Adds what a part brings, from the gradients (R, stride) of its inputs, to `columns` [begin,
  // end) of every table: each element is one sum over the rows in their order.
  void add_gradient(const Scalar* x, const PackedBatch& part, const Scalar* dinputs, Index stride,
                    Index begin, Index end, Scalar* gradient) const noexcept;
  Index largest_size() const noexcept;

 private:
  // What stands behind one another in the inputs: a row of a table, or columns as they are.
  struct Piece {
    Index column;
    Index to;  // among the inputs
    Index size;
  };
  struct Table {
    Piece piece;
    Index n_tokens;
    Index offset;  // in the parameters

    // Where the row of a token begins in the parameters.
    Index row_of(Scalar token) const noexcept {
      const auto last = static_cast<Scalar>(n_tokens - 1);
      return offset + static_cast<Index>(std::min(std::max(Scalar{0}, token), last)) * piece.size;
    }
  };

  Index n_columns_;
  Index output_size_ = 0;
  Index n_parameters_ = 0;
  std::vector<Piece> copies_;
  std::vector<Table> tables_;
  const Scalar* parameters_ = nullptr;
};

}  // namespace lstmcore
