//! One pair: tokens, graph, logit.
//!
//! Pairs run one by one. In an int8 graph the activations are quantised with a scale that is taken over the whole batch
//! (`DynamicQuantizeLinear`), so in a batch the score of a pair would depend on its neighbours: it could not be cached, and equal requests
//! would not get equal answers. It would hardly be faster either: a processor is busy with one pair.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::directory::ModelDirectory;
use super::operators::operators;

/// A loaded model.
pub(super) struct CrossEncoder {
    tokenizer: Tokenizer,
    model: Model,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
    max_tokens: usize,
}

/// Bytes that a word may have on average before a text is cut within its first words.
const LONGEST_WORD: usize = 256;

/// What the graph wants to know of a pair, token by token.
#[derive(Clone, Copy)]
enum Input {
    /// Which tokens.
    Ids,
    /// Which of them count; here all do.
    Mask,
    /// Which belong to the query, and which to the passage.
    Types,
}

impl Input {
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }

    fn of(self, pair: &Encoding) -> &[u32] {
        match self {
            Self::Ids => pair.get_ids(),
            Self::Mask => pair.get_attention_mask(),
            Self::Types => pair.get_type_ids(),
        }
    }
}

impl CrossEncoder {
    /// What of a text can matter: a word is one token at least. The tokenizer would take apart all of a passage of megabytes, to keep 256 tokens.
    fn readable<'a>(&self, text: &'a str) -> &'a str {
        beginning(text, self.max_tokens)
    }

    /// Reads the files of a directory. Takes a fraction of a second and about twice the size of the graph in memory.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, or is not of a cross-encoder of the BERT kind.
    pub(super) fn load(directory: &ModelDirectory, max_tokens: usize) -> Result<Self, String> {
        let path = directory.tokenizer();
        let of_tokenizer = |error: &dyn Display| unusable(&path, error);
        let mut tokenizer = Tokenizer::from_file(&path).map_err(|error| of_tokenizer(&error))?;
        // Files often ask for padding to a fixed length, which would cost the time of the longest passage for every one.
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| of_tokenizer(&error))?;
        let path = directory.graph();
        let of_graph = |error: &dyn Display| unusable(&path, error);
        let model = ModelOptions::with_ops(operators()).load_file(&path).map_err(|error| of_graph(&error))?;
        let (inputs, output) = interface(&model).map_err(|error| of_graph(&error))?;
        Ok(Self { tokenizer, model, inputs, output, max_tokens })
    }

    /// The raw score of one pair, in the model's own scale; higher is more relevant. Cut to the model's length: the longer of the two first.
    ///
    /// # Errors
    /// A sentence that quotes neither text.
    pub(super) fn logit(&self, query: &str, passage: &str, threads: &Arc<ThreadPool>) -> Result<f64, String> {
        let (query, passage) = (self.readable(query), self.readable(passage));
        // Errors of the libraries are not told: they may quote what they failed at.
        let pair =
            self.tokenizer.encode((query, passage), true).map_err(|_| "the tokenizer failed at a pair".to_owned())?;
        let length = pair.len();
        let tensor = |(node, input): &(NodeId, Input)| {
            let values: Vec<i32> = input.of(&pair).iter().map(|&value| value.cast_signed()).collect();
            (*node, ValueOrView::from(Value::from(NdTensor::from_data([1, length], values))))
        };
        let inputs = self.inputs.iter().map(tensor).collect();
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let outputs = self.model.run(inputs, &[self.output], Some(options));
        let outputs = outputs.map_err(|_| "the graph failed at a pair".to_owned())?;
        let scores = outputs.into_iter().next().and_then(Value::into_tensor::<f32>);
        match scores.map(|scores| scores.to_vec()).as_deref() {
            Some([score]) if score.is_finite() => Ok(f64::from(*score)),
            _ => Err("the graph gave something else than one finite score for a pair".to_owned()),
        }
    }
}

/// The beginning of `text` that holds `words` words, at most [`LONGEST_WORD`] bytes a word. Blanks in front must not
/// hide a text.
fn beginning(text: &str, words: usize) -> &str {
    let most_bytes = words.saturating_mul(LONGEST_WORD);
    let text = if text.len() > most_bytes { text.trim_start() } else { text };
    let text = &text[..text.floor_char_boundary(most_bytes)];
    let mut blanks = text.char_indices().skip_while(|(_, first)| first.is_whitespace());
    let mut left = words;
    let mut in_word = true;
    let end = blanks.find(|(_, character)| {
        left -= usize::from(in_word && character.is_whitespace());
        in_word = !character.is_whitespace();
        left == 0
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// Reads the files of a directory and scores a pair, as the first call would.
///
/// # Errors
/// A sentence that names the file that is broken.
pub(super) fn check(directory: &ModelDirectory, max_tokens: usize) -> Result<(), String> {
    let model = CrossEncoder::load(directory, max_tokens)?;
    let score = model.logit("query", "passage", &Arc::new(ThreadPool::with_num_threads(1)));
    score.map(drop).map_err(|error| unusable(&directory.graph(), &error))
}

/// Names the file and not its directory, because clients hear of it.
fn unusable(file: &Path, error: &dyn Display) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).display();
    format!("{name} cannot be used: {error}; scripts/fetch-model gets a model that can")
}

/// The inputs that are known, and the one output, which must be a single number.
fn interface(model: &Model) -> Result<(Vec<(NodeId, Input)>, NodeId), String> {
    let name = |node: NodeId| model.node_info(node).and_then(|info| info.name().map(str::to_owned)).unwrap_or_default();
    let input = |&node: &NodeId| {
        let name = name(node);
        let input = Input::by_name(&name).ok_or_else(|| {
            format!("its input {name:?} is none of input_ids, attention_mask and token_type_ids of a BERT")
        });
        Ok((node, input?))
    };
    let inputs = model.input_ids().iter().map(input).collect::<Result<Vec<_>, String>>()?;
    let &[output] = model.output_ids() else {
        return Err(format!("it has {} outputs, a cross-encoder has one", model.output_ids().len()));
    };
    Ok((inputs, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_matter_is_cut_off_between_words() {
        assert_eq!(beginning(" one  two three", 2), " one  two");
        assert_eq!(beginning("one two", 2), "one two");
        assert_eq!(beginning("one two ", 2), "one two");
        assert_eq!(beginning("", 2), "");
        let (run, wide) = ("x".repeat(1_000), "東".repeat(1_000));
        assert_eq!(beginning(&run, 2).len(), 2 * LONGEST_WORD);
        assert_eq!(beginning(&format!("{}one two three", " \n".repeat(1_000)), 2), "one two");
        assert_eq!(beginning(&wide, 2).chars().count(), 2 * LONGEST_WORD / 3);
    }
}
