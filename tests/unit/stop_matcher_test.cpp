#include "text/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support/random_numbers.h"

namespace puna::core {
namespace {

using Stops = std::vector<std::string_view>;

struct Outcome {
    std::string text;
    int32_t stop = StopMatcher::kNoStop;
    bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << '"' << outcome.text << "\" stop " << outcome.stop;
}

// The whole text before the earliest stop, by searching for each.
Outcome naive(const Stops& stops, std::string_view text) {
    Outcome outcome = {std::string(text), StopMatcher::kNoStop};
    size_t earliest = std::string_view::npos;
    for (size_t i = 0; i < stops.size(); ++i) {
        const size_t begin = stops[i].empty() ? text.npos : text.find(stops[i]);
        if (begin < earliest) {
            earliest = begin;
            outcome = {std::string(text.substr(0, begin)), static_cast<int32_t>(i)};
        }
    }
    return outcome;
}

// How many bytes at the end of the text may begin a stop: the longest end that does.
size_t naive_held(const Stops& stops, std::string_view text) {
    for (size_t n = text.size(); n > 0; --n) {
        for (const std::string_view stop : stops) {
            if (n < stop.size() && stop.starts_with(text.substr(text.size() - n))) return n;
        }
    }
    return 0;
}

Outcome match(const Stops& stops, const std::vector<std::string_view>& chunks) {
    StopMatcher matcher(stops);
    Outcome outcome;
    std::string fed;
    for (const std::string_view chunk : chunks) {
        const bool found = matcher.feed(chunk, outcome.text);
        fed += chunk;
        EXPECT_EQ(found, matcher.found() != StopMatcher::kNoStop);
        if (found) {
            EXPECT_EQ(matcher.n_held(), 0u);
            break;
        }
        // Nothing is lost, and what is held may still begin a stop or be part of one that waits.
        EXPECT_EQ(outcome.text.size() + matcher.n_held(), fed.size());
        EXPECT_TRUE(fed.starts_with(outcome.text));
        if (naive(stops, fed).stop == StopMatcher::kNoStop) {
            EXPECT_EQ(matcher.n_held(), naive_held(stops, fed)) << fed;
        }
    }
    matcher.finish(outcome.text);
    outcome.stop = matcher.found();
    return outcome;
}

TEST(StopMatcher, PassesTextThroughWithoutStops) {
    EXPECT_EQ(match({}, {"some", " ", "text"}), (Outcome{"some text", -1}));
    EXPECT_EQ(match({""}, {"some"}), (Outcome{"some", -1})) << "an empty stop never matches";
    EXPECT_EQ(match({"x"}, {}), (Outcome{"", -1}));
}

TEST(StopMatcher, FindsAStopAcrossChunks) {
    EXPECT_EQ(match({"</s>"}, {"end<", "/", "s", ">more"}), (Outcome{"end", 0}));
    EXPECT_EQ(match({"</s>"}, {"</", "s></s>"}), (Outcome{"", 0}));
    EXPECT_EQ(match({"</s>"}, {"<<//s</s", ">"}), (Outcome{"<<//s", 0}));
}

TEST(StopMatcher, CutsAtTheEarliestStopNotTheFirstListed) {
    EXPECT_EQ(match({"world", "lo"}, {"hello world"}), (Outcome{"hel", 1}));
    EXPECT_EQ(match({"aaa", "ab"}, {"aab"}), (Outcome{"a", 1}));
}

TEST(StopMatcher, OfEqualBeginsTakesTheFirstListed) {
    EXPECT_EQ(match({"ab", "abc"}, {"xabc"}), (Outcome{"x", 0}));
    EXPECT_EQ(match({"abc", "ab"}, {"xab", "c"}), (Outcome{"x", 0}));
    EXPECT_EQ(match({"abc", "ab"}, {"xab", "d"}), (Outcome{"x", 1}));
    EXPECT_EQ(match({"abc", "ab"}, {"xab"}), (Outcome{"x", 1})) << "the end decides";
    EXPECT_EQ(match({"ab", "ab"}, {"xab"}), (Outcome{"x", 0}));
}

TEST(StopMatcher, WaitsForALongerStopThatBeganEarlier) {
    EXPECT_EQ(match({"abcdef", "cd"}, {"abcd", "ef"}), (Outcome{"", 0}));
    EXPECT_EQ(match({"abcdef", "cd"}, {"abcd", "xx"}), (Outcome{"ab", 1}));
    EXPECT_EQ(match({"abcdef", "cd"}, {"abcd"}), (Outcome{"ab", 1}));
    EXPECT_EQ(match({"abcdef", "bcdx", "d"}, {"abcd", "x"}), (Outcome{"a", 1}));
}

TEST(StopMatcher, ReleasesWhatCannotBecomeAStop) {
    const Stops stops = {"\n\nUser:"};
    StopMatcher matcher(stops);
    std::string out;
    EXPECT_FALSE(matcher.feed("line\n", out));
    EXPECT_EQ(out, "line");
    EXPECT_EQ(matcher.n_held(), 1u);
    EXPECT_FALSE(matcher.feed("\n", out));
    EXPECT_EQ(matcher.n_held(), 2u);
    EXPECT_FALSE(matcher.feed("\n", out));
    EXPECT_EQ(out, "line\n") << "two of three line ends can still begin the stop";
    EXPECT_FALSE(matcher.feed("Us", out));
    EXPECT_EQ(matcher.n_held(), 4u);
    EXPECT_FALSE(matcher.finish(out));
    EXPECT_EQ(out, "line\n\n\nUs");
    EXPECT_EQ(matcher.found(), StopMatcher::kNoStop);
}

TEST(StopMatcher, IgnoresTextAfterTheEndUntilReset) {
    const Stops stops = {"ab", "zz"};
    StopMatcher matcher(stops);
    std::string out;
    EXPECT_TRUE(matcher.feed("xab yy", out));
    EXPECT_TRUE(matcher.feed("zz", out));
    EXPECT_TRUE(matcher.finish(out));
    EXPECT_EQ(out, "x");
    EXPECT_EQ(matcher.found(), 0);
    matcher.reset();
    EXPECT_EQ(matcher.found(), StopMatcher::kNoStop);
    EXPECT_FALSE(matcher.feed("a", out));
    EXPECT_FALSE(matcher.finish(out));
    EXPECT_FALSE(matcher.feed("b", out)) << "the text was over";
    EXPECT_EQ(out, "xa");
    matcher.reset();
    EXPECT_TRUE(matcher.feed("zz", out));
    EXPECT_EQ(matcher.found(), 1);
}

TEST(StopMatcher, TakesAnyBytes) {
    const std::string_view stop("\0\xFF", 2);
    EXPECT_EQ(match({stop}, {std::string_view("a\0", 2), "\xFF"}), (Outcome{"a", 0}));
}

std::string random_text(test::RandomNumbers& random, size_t length, uint64_t n_letters) {
    std::string text(length, ' ');
    for (char& c : text) c = static_cast<char>('a' + random.below(n_letters));
    return text;
}

// Every way to cut the text into chunks.
void expect_all_cuts(const Stops& stops, const std::string& text) {
    const Outcome wanted = naive(stops, text);
    const std::string_view whole = text;
    for (uint32_t cuts = 0; cuts < 1u << (text.size() - 1); ++cuts) {
        std::vector<std::string_view> chunks;
        size_t begin = 0;
        for (size_t end = 1; end <= whole.size(); ++end) {
            if (end < whole.size() && (cuts >> (end - 1) & 1) == 0) continue;
            chunks.push_back(whole.substr(begin, end - begin));
            begin = end;
        }
        ASSERT_EQ(match(stops, chunks), wanted) << text << " cut by mask " << cuts;
    }
}

TEST(StopMatcher, EqualsASearchHoweverTheTextIsCut) {
    test::RandomNumbers random(4);
    for (int round = 0; round < 1500; ++round) {
        const uint64_t n_letters = 2 + random.below(2);
        std::vector<std::string> texts(1 + random.below(4));
        for (std::string& stop : texts) {
            stop = random_text(random, 1 + random.below(5), n_letters);
        }
        const Stops stops(texts.begin(), texts.end());
        expect_all_cuts(stops, random_text(random, 1 + random.below(10), n_letters));
        if (HasFatalFailure()) return;
    }
}

TEST(StopMatcher, EqualsASearchInLongTexts) {
    test::RandomNumbers random(5);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::string> texts(1 + random.below(5));
        for (std::string& stop : texts) stop = random_text(random, 1 + random.below(9), 2);
        const Stops stops(texts.begin(), texts.end());
        const std::string text = random_text(random, 1 + random.below(60), 2);
        std::vector<std::string_view> chunks;
        for (size_t begin = 0; begin < text.size();) {
            const size_t n = std::min<size_t>(1 + random.below(7), text.size() - begin);
            chunks.push_back(std::string_view(text).substr(begin, n));
            begin += n;
        }
        ASSERT_EQ(match(stops, chunks), naive(stops, text)) << text;
    }
}

// A stop that the text almost spells everywhere: work and memory stay linear in both.
TEST(StopMatcher, TakesLongTextsAndStops) {
    constexpr size_t kLength = 100000;
    const std::string almost(kLength, 'a');
    const std::string stop = almost + "b";
    StopMatcher matcher(Stops{stop});
    std::string out;
    for (size_t i = 0; i < 20 * kLength; ++i) ASSERT_FALSE(matcher.feed("a", out));
    EXPECT_EQ(matcher.n_held(), kLength);
    EXPECT_EQ(out.size(), 19 * kLength);
    EXPECT_TRUE(matcher.feed("b", out));
    EXPECT_EQ(out.size(), 19 * kLength);
    EXPECT_EQ(matcher.found(), 0);
}

}  // namespace
}  // namespace puna::core
