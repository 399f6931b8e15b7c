# Constraints on answers: pure, beside the tokenizer, whose vocabulary they walk over.
add_library(troupe_model_grammar STATIC
  ${CMAKE_CURRENT_LIST_DIR}/grammar/code_points.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/compile.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/ebnf.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/expressions.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/json_numbers.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/json_schema.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/json_string.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/json_value.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/matcher.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/network.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/regex.cpp ${CMAKE_CURRENT_LIST_DIR}/grammar/schema_merge.cpp
  ${CMAKE_CURRENT_LIST_DIR}/grammar/vocabulary.cpp)
target_include_directories(troupe_model_grammar PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(troupe_model_grammar
  PUBLIC troupe_base
  PRIVATE troupe_model_text nlohmann_json::nlohmann_json)
