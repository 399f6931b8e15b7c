# The text half of the model folder: tokenizer, streaming decoder, chat template.
find_package(nlohmann_json REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc)
find_path(TROUPE_PCRE2_INCLUDE_DIR pcre2.h REQUIRED)
find_library(TROUPE_PCRE2_LIBRARY pcre2-8 REQUIRED)

add_library(troupe_model_text STATIC
  bpe.cpp chat_template.cpp chat_template_value.cpp jinja_evaluator.cpp jinja_filters.cpp jinja_lexer.cpp
  jinja_methods.cpp jinja_parser.cpp jinja_python.cpp jinja_runtime.cpp jinja_tests.cpp json_text.cpp pre_tokenizer.cpp stream_decoder.cpp tokenizer.cpp tokenizer_added_tokens.cpp
  tokenizer_decoder.cpp tokenizer_normalizer.cpp tokenizer_post_processor.cpp tokenizer_regex.cpp
  tokenizer_regex_translation.cpp tokenizer_unicode.cpp tokenizer_unicode_additions.cpp)
target_include_directories(troupe_model_text PUBLIC ${CMAKE_SOURCE_DIR})
target_include_directories(troupe_model_text SYSTEM PRIVATE ${TROUPE_PCRE2_INCLUDE_DIR})
target_link_libraries(troupe_model_text
  PUBLIC troupe_base
  PRIVATE nlohmann_json::nlohmann_json ${TROUPE_PCRE2_LIBRARY} ICU::uc)
