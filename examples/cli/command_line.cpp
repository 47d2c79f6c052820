#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "errors.h"
#include "numbers.h"
#include "puna/puna.h"
#include "terminal.h"

namespace cli {
namespace {

bool is_option(const std::string& argument) {
    return argument.size() > 1 && argument[0] == '-';
}

// "--stop A B" becomes "--stop A --stop B".
Arguments with_names_repeated(const Arguments& arguments, const std::vector<std::string>& names) {
    // When options come first, MODEL may be what stands behind their last value.
    if (arguments.empty() || is_option(arguments[0])) return arguments;
    Arguments result;
    const std::string* name = nullptr;
    size_t n_values = 0;
    for (const std::string& argument : arguments) {
        if (name != nullptr && n_values > 0) {
            if (is_option(argument)) {
                name = nullptr;
            } else {
                result.push_back(*name);
            }
        }
        if (name != nullptr) {
            ++n_values;  // the first one may begin with a dash
        } else if (std::find(names.begin(), names.end(), argument) != names.end()) {
            name = &argument;
            n_values = 0;
        }
        result.push_back(argument);
    }
    return result;
}

template <class Number>
std::string shortest(Number number) {
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    return {buffer, end};
}

std::string range_text(int64_t low, int64_t high) {
    return "must be a whole number from " + shortest(low) + " to " + shortest(high);
}
std::string range_text(double low, double high) {
    constexpr double kMost = std::numeric_limits<float>::max();
    if (high < kMost) return "must be from " + shortest(low) + " to " + shortest(high);
    return low > -kMost ? "must be a finite number of at least " + shortest(low)
                        : "must be a finite number";
}

// Names the option that has the value.
void take_value(const std::string& name, const CommandLine::Take& take, const std::string& text) {
    try {
        take(text);
    } catch (const InvalidValue& error) {
        throw CLI::ValidationError(name, error.what());
    }
}

}  // namespace

void Option::required() {
    option_->required();
}
void Option::excludes(const Option& other) {
    option_->excludes(other.option_);
}
void Option::needs(const Option& other) {
    option_->needs(other.option_);
}
bool Option::is_given() const {
    return option_->count() > 0;
}

CommandLine::CommandLine(const std::string& command, const std::string& description,
                         const std::string& footer)
    : app_(std::make_unique<CLI::App>(description, "puna " + command)), command_(command) {
    app_->footer(footer);
    app_->set_help_flag("-h,--help", "Show this help");
    app_->set_version_flag("--version", std::string("puna ") + puna_version(), "Show the version");
    app_->allow_windows_style_options(false);
    // The last one wins, so that scripts can append.
    app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CommandLine::~CommandLine() = default;

void CommandLine::group(const std::string& name) {
    app_->option_defaults()->group(name);
}

Option CommandLine::flag(const std::string& name, bool& field, const std::string& help) {
    return Option(app_->add_flag(name, field, help));
}

template <class Number>
Option CommandLine::number(const std::string& name, Number& field, double low, double high,
                           const std::string& help) {
    using Widest = std::conditional_t<std::is_integral_v<Number>, int64_t, double>;
    // CLI11 would take 010 for 8.
    const Take take = [&field, low, high](const std::string& text) {
        Widest value = 0;
        if (!read_number(text, value) ||
            !(static_cast<double>(value) >= low && static_cast<double>(value) <= high)) {
            throw InvalidValue(range_text(static_cast<Widest>(low), static_cast<Widest>(high)) +
                               ", not '" + text + "'");
        }
        field = static_cast<Number>(value);
    };
    return value(name, take, "N", shortest(field), help);
}
template Option CommandLine::number(const std::string&, int32_t&, double, double,
                                    const std::string&);
template Option CommandLine::number(const std::string&, uint32_t&, double, double,
                                    const std::string&);
template Option CommandLine::number(const std::string&, float&, double, double, const std::string&);

Option CommandLine::text(const std::string& name, std::string& field, const std::string& type,
                         const std::string& help) {
    return value(
        name, [&field](const std::string& text) { field = text; }, type, "", help);
}

// CLI11 would take "[A,B]" and "{}" apart where it knows that the field is a list.
Option CommandLine::value(const std::string& name, Take take, const std::string& type,
                          const std::string& preset, const std::string& help) {
    CLI::Option* option = app_->add_option(
        name,
        [name, take = std::move(take)](const CLI::results_t& values) {
            take_value(name, take, values.back());
            return true;
        },
        help);
    if (!preset.empty()) option->default_str(preset);
    return Option(option->type_name(type));
}

Option CommandLine::texts(const std::string& name, Take take, const std::string& type,
                          const std::string& help) {
    list_names_.push_back(name);
    return Option(app_->add_option(
                          name,
                          [name, take = std::move(take)](const CLI::results_t& values) {
                              for (const std::string& text : values) take_value(name, take, text);
                              return true;
                          },
                          help)
                      ->type_name(type)
                      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
}

bool CommandLine::parse(Arguments arguments) {
    arguments = with_names_repeated(arguments, list_names_);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    try {
        app_->parse(std::move(arguments));
        return true;
    } catch (const CLI::CallForHelp&) {
        write_output(app_->help());
    } catch (const CLI::CallForVersion& version) {
        write_output(version.what() + std::string("\n"));
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what() + (": try 'puna " + command_) + " --help'");
    }
    return false;
}

}  // namespace cli
