#include "status_line.h"

#include <cstdio>

#include "terminal.h"

namespace cli {

StatusLine::StatusLine() : is_terminal_(is_terminal(stderr)) {}

StatusLine::~StatusLine() {
    if (!shown_.empty()) std::fputs("\r\033[K", stderr);
}

void StatusLine::show(const std::string& text) {
    if (!is_terminal_ || text == shown_) return;
    shown_ = text;
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    std::fflush(stderr);
}

}  // namespace cli
