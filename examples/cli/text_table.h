#pragma once

#include <string>
#include <vector>

namespace cli {

// Rows of cells that stand below each other.
class TextTable {
  public:
    // A letter for each column: l flush left, r flush right.
    explicit TextTable(std::string columns) : columns_(std::move(columns)) {}

    // At most as many cells as there are columns.
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    // Each row on a line behind `indent`.
    std::string text(const std::string& indent = "") const;

  private:
    std::string columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace cli
