#pragma once

#include <string>

namespace cli {

// A line on standard error that tells how far the work has come; nothing unless that is a terminal.
class StatusLine {
  public:
    StatusLine();
    ~StatusLine();
    StatusLine(const StatusLine&) = delete;
    StatusLine& operator=(const StatusLine&) = delete;

    // Takes the place of what is shown.
    void show(const std::string& text);

  private:
    bool is_terminal_;
    std::string shown_;
};

}  // namespace cli
