# The sampler on its own: pure functions that the dataflow folder and the model library share.
add_library(troupe_model_sampler STATIC
  ${CMAKE_CURRENT_LIST_DIR}/sampler.cpp ${CMAKE_CURRENT_LIST_DIR}/sampler_bands.cpp)
target_include_directories(troupe_model_sampler PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(troupe_model_sampler PUBLIC troupe_base)
