#include "download.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>

#include "readable.h"
#include "retries.h"
#include "transfer_meter.h"

namespace cli {
namespace {

constexpr long kWhole = 200, kPart = 206, kNoSuchRange = 416;

// "bytes 100-199/200"; 200 may be "*".
struct ContentRange {
    uint64_t first = 0;
    uint64_t whole = 0;
    bool is_valid = false;

    ContentRange(std::string_view text, uint64_t whole_if_unknown) {
        const size_t slash = text.find('/');
        if (!text.starts_with("bytes ") || slash == text.npos) return;
        text.remove_prefix(6);
        const std::string_view total = text.substr(slash - 6 + 1);
        const char* const end = text.data() + text.size();
        const auto begins = std::from_chars(text.data(), end, first);
        is_valid = begins.ec == std::errc() && begins.ptr != end && *begins.ptr == '-';
        whole = whole_if_unknown;
        if (total == "*") return;
        const auto parsed = std::from_chars(total.data(), end, whole);
        is_valid = is_valid && parsed.ec == std::errc() && parsed.ptr == end;
    }
};

// One download: tries until the file is whole.
class Transfer {
  public:
    Transfer(HubClient& client, const HubFile& file, PartialFile& partial)
        : client_(client),
          file_(file),
          partial_(partial),
          meter_(partial.whole_size(), partial.size()) {}

    void run(const Interrupt& interrupt);

  private:
    HttpReply attempt();
    bool begin(const HttpReply& head);
    void take(std::string_view bytes);
    void check_size(uint64_t announced) const;
    [[noreturn]] void give_up(const HttpReply& reply) const;

    HubClient& client_;
    const HubFile& file_;
    PartialFile& partial_;
    TransferMeter meter_;
    bool has_begun_ = false;  // this try has bytes of the file
};

void Transfer::run(const Interrupt& interrupt) {
    Retries retries(interrupt);
    uint64_t most = partial_.size();
    while (partial_.size() < file_.size) {
        const HttpReply reply = attempt();
        if (partial_.size() == file_.size) return;
        // From zero again is no progress before there is more than there was.
        const bool has_progressed = partial_.size() > most;
        most = std::max(most, partial_.size());
        const bool is_answer = reply.failure.empty() && reply.status >= 400;
        if (reply.status == kNoSuchRange) {
            partial_.restart();
        } else if (is_answer && !is_worth_another_try(reply)) {
            throw std::runtime_error(client_.explain(reply));
        }
        if (!retries.wait(has_progressed)) give_up(reply);
    }
}

HttpReply Transfer::attempt() {
    has_begun_ = false;
    return client_.get(file_, partial_.size(),
                       [this](const HttpReply& head, std::string_view bytes) {
                           if (!has_begun_ && !begin(head)) return false;
                           take(bytes);
                           return true;
                       });
}

// False: this is not what was asked for.
bool Transfer::begin(const HttpReply& head) {
    if (head.status == kPart) {
        const ContentRange range(head.header("content-range"), file_.size);
        if (range.is_valid) check_size(range.whole);
        if (!range.is_valid || range.first != partial_.size()) {
            partial_.restart();  // and ask for the whole
            return false;
        }
    } else if (head.status == kWhole) {
        const std::string length = head.header("content-length");
        uint64_t size = file_.size;
        std::from_chars(length.data(), length.data() + length.size(), size);
        check_size(size);
        if (partial_.size() > 0) partial_.restart();
    } else {
        return false;
    }
    has_begun_ = true;
    return true;
}

void Transfer::take(std::string_view bytes) {
    if (bytes.size() > file_.size - partial_.size()) {
        throw std::runtime_error(file_.name + ": the server sends more than the " +
                                 std::to_string(file_.size) +
                                 " bytes it has announced: " + partial_.path() + " is kept");
    }
    partial_.write(bytes);
    meter_.show(partial_.size());
}

void Transfer::check_size(uint64_t announced) const {
    if (announced == file_.size) return;
    throw std::runtime_error(file_.name + ": the server has announced " +
                             std::to_string(file_.size) + " bytes and now says " +
                             std::to_string(announced) + ": the file has changed, or a proxy has " +
                             "answered: try again");
}

void Transfer::give_up(const HttpReply& reply) const {
    const std::string reason =
        reply.failure.empty() ? "HTTP " + std::to_string(reply.status) : reply.failure;
    throw std::runtime_error(file_.name + ": the download broke off at " +
                             readable_bytes(partial_.size()) + " of " + readable_bytes(file_.size) +
                             ": " + printable(reason, 200) + ": the same command goes on with " +
                             partial_.path());
}

}  // namespace

void download(HubClient& client, const HubFile& file, PartialFile& partial, const std::string& path,
              const Interrupt& interrupt) {
    // All of it may be here when an earlier run ended between its last byte and its name.
    if (partial.size() == file.size) {
        if (partial.finish(path)) return;
        partial.restart();
    }
    std::fprintf(stderr, "downloading %s (%s) to %s\n", printable(file.name, 200).c_str(),
                 readable_bytes(file.size).c_str(), path.c_str());
    Transfer(client, file, partial).run(interrupt);
    if (partial.finish(path)) return;
    throw std::runtime_error(
        file.name + ": the checksum is wrong, so it was changed on its way: " + partial.path() +
        " is kept for a look at it, and the next download begins anew");
}

}  // namespace cli
