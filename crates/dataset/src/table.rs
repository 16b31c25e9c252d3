//! One Parquet file: written batch by batch, and looked at again.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray as _;
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{CdcOptions, WriterProperties};
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use crate::columns;
use crate::error::{Result, failed, parquet_failed};
use crate::row::Waiting;

/// What the files say of their writer: fixed, so that equal rows give equal bytes in every release.
const CREATED_BY: &str = "trajforge";
/// Row groups end at this size, so that a viewer can read one at a time.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Rows are encoded together until they have this size.
const BATCH_BYTES: u64 = 8 << 20;
/// A good ratio at a speed above that of anything before it.
const ZSTD_LEVEL: i32 = 9;

/// A file that is being written.
pub(crate) struct TableWriter {
    writer: ArrowWriter<File>,
    path: PathBuf,
    pending: Vec<Waiting>,
    pending_bytes: u64,
    rows: u64,
    memory_bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    /// Uncompressed, as Python's `datasets` counts it.
    pub(crate) memory_bytes: u64,
}

impl TableWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(parquet_failed("write", path))?;
        // Statistics per page make the page index; chunks that follow the content make uploads of a next version small.
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_content_defined_chunking(Some(CdcOptions::default()))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let file = File::create(path).map_err(failed("create", path))?;
        let writer = ArrowWriter::try_new_with_options(file, columns::schema(), options)
            .map_err(parquet_failed("write", path))?;
        Ok(Self {
            writer,
            path: path.to_owned(),
            pending: Vec::new(),
            pending_bytes: 0,
            rows: 0,
            memory_bytes: 0,
        })
    }

    /// Adds a row; `bytes` is about what it takes in memory.
    pub(crate) fn push(&mut self, row: Waiting, bytes: u64) -> Result<()> {
        self.pending.push(row);
        self.pending_bytes += bytes;
        self.rows += 1;
        if self.pending_bytes >= BATCH_BYTES {
            self.write_pending()?;
        }
        Ok(())
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(mut self) -> Result<Written> {
        self.write_pending()?;
        let file = self.writer.into_inner().map_err(parquet_failed("write", &self.path))?;
        file.sync_all().map_err(failed("sync", &self.path))?;
        Ok(Written { rows: self.rows, memory_bytes: self.memory_bytes })
    }

    fn write_pending(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = columns::batch(&self.pending);
        self.memory_bytes += batch.columns().iter().map(|column| loaded_bytes(column)).sum::<u64>();
        self.pending.clear();
        self.pending_bytes = 0;
        self.writer.write(&batch).map_err(parquet_failed("write", &self.path))
    }
}

/// The size that Python's `datasets` finds for an array after it has read it from a file: there numbers come with a
/// bit for each that says whether it is there, everything else only where something is missing.
fn loaded_bytes(array: &dyn Array) -> u64 {
    let bits = |count: usize| count.div_ceil(8) as u64;
    let offsets = 4 * array.len() as u64;
    let missing = if array.null_count() > 0 { bits(array.len()) } else { 0 };
    match array.data_type() {
        DataType::Utf8 => missing + offsets + array.as_string::<i32>().value_data().len() as u64,
        DataType::List(_) => missing + offsets + loaded_bytes(array.as_list::<i32>().values()),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| loaded_bytes(column)).sum(),
        DataType::Boolean => missing + bits(array.len()),
        number => {
            let width = number.primitive_width().unwrap_or(0) * array.len();
            bits(array.len()) + width as u64
        }
    }
}

/// How many rows a file says that it has.
pub(crate) fn rows_of(path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(failed("open", path))?;
    let reader = SerializedFileReader::new(file).map_err(parquet_failed("read", path))?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0))
}
